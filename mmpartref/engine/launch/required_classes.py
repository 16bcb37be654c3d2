"""Loop, optimiser wrapper and hooks that a run needs, whatever its config lists."""
from collections.abc import Mapping

from mmengine.config import Config
from mmengine.hooks import EMAHook, SyncBuffersHook
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmpartref.engine.config.config_keys import HOOK_NAMES
from mmpartref.engine.config.config_nodes import builds, hook_nodes
from mmpartref.engine.hooks.dataset_epoch_hook import DatasetEpochHook
from mmpartref.engine.hooks.detector_categories_hook import DetectorCategoriesHook
from mmpartref.engine.hooks.non_finite_loss_hook import NEEDS_SKIPPING, NonFiniteLossHook
from mmpartref.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from mmpartref.engine.hooks.skipped_images_hook import SkippedImagesHook
from mmpartref.engine.hooks.strict_load_hook import StrictLoadHook
from mmpartref.engine.hooks.training_length_hook import TrainingLengthHook
from mmpartref.engine.hooks.truncated_expressions_hook import TruncatedExpressionsHook
from mmpartref.engine.hooks.worker_error_hook import WorkerErrorHook
from mmpartref.engine.launch.dependent_keys import by_iteration
from mmpartref.engine.optim.bf16_optim_wrapper import Bf16OptimWrapper
from mmpartref.engine.optim.skip_non_finite_amp_optim_wrapper import SkipNonFiniteAmpOptimWrapper
from mmpartref.engine.optim.skip_non_finite_bf16_optim_wrapper import SkipNonFiniteBf16OptimWrapper
from mmpartref.engine.optim.skip_non_finite_ema_hook import SkipNonFiniteEMAHook
from mmpartref.engine.optim.skip_non_finite_optim_wrapper import SkipNonFiniteMixin, SkipNonFiniteOptimWrapper
from mmpartref.engine.resume.resumable_epoch_based_train_loop import ResumableEpochBasedTrainLoop
from mmpartref.engine.resume.resumable_iter_based_train_loop import ResumableIterBasedTrainLoop
from mmpartref.engine.terminal.evaluation_speed_hook import EvaluationSpeedHook
from mmpartref.engine.terminal.run_summary_hook import RunSummaryHook
from mmpartref.errors import ConfigError
from mmpartref.models.detectors import ReferringDetector
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.registry import HOOKS, LOOPS, MODELS, OPTIM_WRAPPERS, resolve

SKIPPING = {OptimWrapper: SkipNonFiniteOptimWrapper, AmpOptimWrapper: SkipNonFiniteAmpOptimWrapper,
            Bf16OptimWrapper: SkipNonFiniteBf16OptimWrapper, EMAHook: SkipNonFiniteEMAHook}


def use_resumable_loop(cfg: Config) -> None:
    """Replace mmengine's loops by those that resume within an epoch."""
    loop = cfg.get('train_cfg')
    if loop and resolve(LOOPS, loop.get('type', 'EpochBasedTrainLoop')) in (EpochBasedTrainLoop, IterBasedTrainLoop):
        kind = ResumableIterBasedTrainLoop if by_iteration(loop) else ResumableEpochBasedTrainLoop
        loop.pop('by_epoch', None)
        loop.type = kind.__name__


def use_compiled_network(cfg: Config) -> None:
    """Pass mmengine's ``compile`` on to a ``ReferringSegmentor``, whose data samples cannot be compiled."""
    given = cfg.get('compile')
    if given and builds(MODELS, cfg.model, ReferringSegmentor):
        options = {key: value for key, value in given.items() if key != 'target'} if isinstance(given, Mapping) else {}
        cfg.compile = False
        if not cfg.model.get('compile'):
            cfg.model.compile = options or True
        print_log(f'compile={given}: the network is compiled (model.compile), without the data samples', 'current')


def use_skipping_classes(cfg: Config) -> None:
    """With a ``NonFiniteLossHook``, replace mmengine's optimiser wrappers and EMA hook by those that skip updates.

    Raises:
        ConfigError: the optimiser wrapper is another one.
    """
    hooks = hook_nodes(cfg)
    wrapper = cfg.get('optim_wrapper')
    if not wrapper or not any(builds(HOOKS, each, NonFiniteLossHook) for each in hooks):
        return
    if (kind := resolve(OPTIM_WRAPPERS, wrapper.get('type', 'OptimWrapper'))) in SKIPPING:
        wrapper.type = SKIPPING[kind].__name__
    elif isinstance(kind, type) and not issubclass(kind, SkipNonFiniteMixin):
        raise ConfigError(NEEDS_SKIPPING.format(kind.__name__))
    for hook in hooks:
        if builds(HOOKS, hook, EMAHook) and resolve(HOOKS, hook.get('type')) in SKIPPING:
            hook.type = SkipNonFiniteEMAHook.__name__


def drop_disabled_hooks(cfg: Config) -> None:
    """Drop hooks of ``default_hooks`` that are None; mmengine takes None for its own ones only."""
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in HOOK_NAMES]:
        del hooks[name]


def add_required_hooks(cfg: Config) -> None:
    """Add hooks to ``default_hooks`` that the config lacks: a user's ``custom_hooks`` replaces the list of its base."""
    required: dict[str, type] = {'skipped_images': SkippedImagesHook, 'safe_checkpoint': SafeCheckpointHook,
                                 'truncated_expressions': TruncatedExpressionsHook, 'worker_errors': WorkerErrorHook,
                                 'strict_load': StrictLoadHook, 'dataset_epoch': DatasetEpochHook,
                                 'training_length': TrainingLengthHook, 'run_summary': RunSummaryHook,
                                 'evaluation_speed': EvaluationSpeedHook}
    if builds(MODELS, cfg.model, ReferringDetector):
        required['detector_categories'] = DetectorCategoriesHook
    if cfg.get('launcher', 'none') != 'none' and not cfg.get('sync_bn'):
        # Otherwise each process validates with its own BatchNorm statistics, and only those of rank 0 are saved.
        required['sync_buffers'] = SyncBuffersHook
    for name, kind in required.items():
        if not any(builds(HOOKS, each, kind) for each in hook_nodes(cfg)):
            cfg.default_hooks = {**(cfg.get('default_hooks') or {}), name: {'type': kind.__name__}}
