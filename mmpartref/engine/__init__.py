from mmpartref.engine.hooks.atomic_checkpoint_hook import AtomicCheckpointHook
from mmpartref.engine.hooks.dataset_epoch_hook import DatasetEpochHook
from mmpartref.engine.hooks.detector_categories_hook import DetectorCategoriesHook
from mmpartref.engine.hooks.model_cost_hook import ModelCostHook
from mmpartref.engine.hooks.non_finite_loss_hook import NonFiniteLossHook
from mmpartref.engine.hooks.preemption_hook import PreemptionHook
from mmpartref.engine.hooks.protocol_hook import ProtocolHook
from mmpartref.engine.hooks.referring_visualization_hook import ReferringVisualizationHook
from mmpartref.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from mmpartref.engine.hooks.skipped_images_hook import SkippedImagesHook
from mmpartref.engine.hooks.strict_load_hook import StrictLoadHook
from mmpartref.engine.hooks.training_length_hook import TrainingLengthHook
from mmpartref.engine.hooks.truncated_expressions_hook import TruncatedExpressionsHook
from mmpartref.engine.hooks.worker_error_hook import WorkerErrorHook
from mmpartref.engine.optim.bf16_optim_wrapper import Bf16OptimWrapper
from mmpartref.engine.optim.grouped_optim_wrapper_constructor import GroupedOptimWrapperConstructor
from mmpartref.engine.optim.skip_non_finite_amp_optim_wrapper import SkipNonFiniteAmpOptimWrapper
from mmpartref.engine.optim.skip_non_finite_bf16_optim_wrapper import SkipNonFiniteBf16OptimWrapper
from mmpartref.engine.optim.skip_non_finite_ema_hook import SkipNonFiniteEMAHook
from mmpartref.engine.optim.skip_non_finite_optim_wrapper import SkipNonFiniteOptimWrapper
from mmpartref.engine.optim.uniform_first_epoch_lr import UniformFirstEpochLR
from mmpartref.engine.resume.resumable_epoch_based_train_loop import ResumableEpochBasedTrainLoop
from mmpartref.engine.resume.resumable_iter_based_train_loop import ResumableIterBasedTrainLoop
from mmpartref.engine.resume.resumable_state_hook import ResumableStateHook
from mmpartref.engine.terminal.evaluation_speed_hook import EvaluationSpeedHook
from mmpartref.engine.terminal.one_file_logger_hook import OneFileLoggerHook
from mmpartref.engine.terminal.run_summary_hook import RunSummaryHook

__all__ = [
    'AtomicCheckpointHook',
    'Bf16OptimWrapper',
    'DatasetEpochHook',
    'DetectorCategoriesHook',
    'EvaluationSpeedHook',
    'GroupedOptimWrapperConstructor',
    'ModelCostHook',
    'NonFiniteLossHook',
    'OneFileLoggerHook',
    'PreemptionHook',
    'ProtocolHook',
    'ReferringVisualizationHook',
    'ResumableEpochBasedTrainLoop',
    'ResumableIterBasedTrainLoop',
    'ResumableStateHook',
    'RunSummaryHook',
    'SafeCheckpointHook',
    'SkipNonFiniteAmpOptimWrapper',
    'SkipNonFiniteBf16OptimWrapper',
    'SkipNonFiniteEMAHook',
    'SkipNonFiniteOptimWrapper',
    'SkippedImagesHook',
    'StrictLoadHook',
    'TrainingLengthHook',
    'TruncatedExpressionsHook',
    'UniformFirstEpochLR',
    'WorkerErrorHook',
]
