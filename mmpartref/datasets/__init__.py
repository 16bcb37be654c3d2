from mmpartref.datasets.expression_batch_sampler import ExpressionBatchSampler
from mmpartref.datasets.mixed_refer_dataset import MixedReferDataset
from mmpartref.datasets.mixture_sampler import MixtureSampler
from mmpartref.datasets.part_refer_dataset import PartReferDataset
from mmpartref.datasets.partimagenet import PartImageNetReferringDataset

__all__ = [
    'ExpressionBatchSampler', 'MixedReferDataset', 'MixtureSampler', 'PartImageNetReferringDataset', 'PartReferDataset'
]
