from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import PartImageNetReferringDataset
from mmpartref.datasets.protocols.build_protocol import build_data_protocol
from mmpartref.datasets.referring.mixed_refer_dataset import MixedReferDataset
from mmpartref.datasets.referring.part_refer_dataset import PartReferDataset
from mmpartref.datasets.referring.samplers.expression_batch_sampler import ExpressionBatchSampler
from mmpartref.datasets.referring.samplers.mixture_sampler import MixtureSampler

__all__ = [
    'ExpressionBatchSampler',
    'MixedReferDataset',
    'MixtureSampler',
    'PartImageNetReferringDataset',
    'PartReferDataset',
    'build_data_protocol'
]
