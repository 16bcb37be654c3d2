from mmpartref.engine.atomic_checkpoint_hook import AtomicCheckpointHook
from mmpartref.engine.bad_sample_hook import BadSampleHook
from mmpartref.engine.dataset_epoch_hook import DatasetEpochHook
from mmpartref.engine.detector_categories_hook import DetectorCategoriesHook
from mmpartref.engine.grouped_optim_wrapper_constructor import GroupedOptimWrapperConstructor
from mmpartref.engine.model_cost_hook import ModelCostHook
from mmpartref.engine.non_finite_loss_hook import NonFiniteLossHook
from mmpartref.engine.preemption_hook import PreemptionHook
from mmpartref.engine.protocol_hook import ProtocolHook
from mmpartref.engine.referring_visualization_hook import ReferringVisualizationHook
from mmpartref.engine.resumable_epoch_based_train_loop import ResumableEpochBasedTrainLoop
from mmpartref.engine.resumable_state_hook import ResumableStateHook
from mmpartref.engine.safe_checkpoint_hook import SafeCheckpointHook
from mmpartref.engine.strict_load_hook import StrictLoadHook
from mmpartref.engine.uniform_first_epoch_lr import UniformFirstEpochLR

__all__ = [
    'AtomicCheckpointHook',
    'BadSampleHook',
    'DatasetEpochHook',
    'DetectorCategoriesHook',
    'GroupedOptimWrapperConstructor',
    'ModelCostHook',
    'NonFiniteLossHook',
    'PreemptionHook',
    'ProtocolHook',
    'ReferringVisualizationHook',
    'ResumableEpochBasedTrainLoop',
    'ResumableStateHook',
    'SafeCheckpointHook',
    'StrictLoadHook',
    'UniformFirstEpochLR',
]
