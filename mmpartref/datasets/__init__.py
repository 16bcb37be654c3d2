from mmpartref.datasets.expression_batch_sampler import ExpressionBatchSampler
from mmpartref.datasets.part_refer_dataset import PartReferDataset
from mmpartref.datasets.partimagenet import PartImageNetReferringDataset

__all__ = ['ExpressionBatchSampler', 'PartImageNetReferringDataset', 'PartReferDataset']
