from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import PartImageNetReferringDataset
from mmpartref.datasets.protocols.build_protocol import build_protocol_step
from mmpartref.datasets.referring.mixed_refer_dataset import MixedReferDataset
from mmpartref.datasets.referring.part_refer_dataset import PartReferDataset
from mmpartref.datasets.referring.samplers.expression_batch_sampler import ExpressionBatchSampler
from mmpartref.datasets.referring.samplers.mixture_sampler import MixtureSampler
from mmpartref.datasets.referring.steps.absent_parts import AbsentParts
from mmpartref.datasets.referring.steps.entry_step import EntryStep
from mmpartref.datasets.referring.steps.expressions import Expressions
from mmpartref.datasets.referring.steps.image_labels import ImageLabels
from mmpartref.datasets.referring.steps.negative_categories import NegativeCategories
from mmpartref.datasets.referring.steps.whole_objects import WholeObjects

__all__ = [
    'AbsentParts',
    'EntryStep',
    'ExpressionBatchSampler',
    'Expressions',
    'ImageLabels',
    'MixedReferDataset',
    'MixtureSampler',
    'NegativeCategories',
    'PartImageNetReferringDataset',
    'PartReferDataset',
    'WholeObjects',
    'build_protocol_step'
]
