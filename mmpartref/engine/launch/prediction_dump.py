"""Dump, instances and overlays of a test's predictions, added to a config."""
import os
from typing import Any

from mmengine.config import Config

from mmpartref.engine.config.config_nodes import builds, hook_nodes
from mmpartref.engine.hooks.model_cost_hook import ModelCostHook
from mmpartref.engine.hooks.referring_visualization_hook import ReferringVisualizationHook
from mmpartref.engine.launch.published_choices import choices_line, published_choices
from mmpartref.errors import ConfigError
from mmpartref.evaluation.metrics.referring_dump import ReferringDump
from mmpartref.models.detectors import ReferringDetector
from mmpartref.models.segmentors.mask_decode import get_decode
from mmpartref.registry import ENTRY_STEPS, HOOKS, METRICS, MODELS, argument


def add_dump(cfg: Config, out_file: str, *, candidates: bool = False) -> None:
    """Make the test write its predictions, and their cost, to a file; replaces a dump that the config has already.

    Args:
        cfg: the config, changed in place.
        out_file: the dump.
        candidates: also write every candidate mask of a detector, so that thresholds can be chosen later.
    """
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    if candidates:
        cfg.model.keep_candidates = True
    cfg.test_evaluator = [
        *(each for each in evaluators if not builds(METRICS, each, ReferringDump)),
        {'type': 'ReferringDump', 'out_file': out_file, 'header': dump_header(cfg)},
    ]
    if not any(builds(HOOKS, each, ModelCostHook) for each in hook_nodes(cfg)):
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'ModelCostHook'}]


def add_instances(cfg: Config, out_file: str) -> None:
    """Make the test of a detector write its instances as COCO results.

    Raises:
        ConfigError: the model is not a ``ReferringDetector`` of parts.
    """
    if not builds(MODELS, cfg.model, ReferringDetector) or argument(MODELS, cfg.model, 'targets') != 'parts':
        raise ConfigError(f"--instances is for a ReferringDetector with targets='parts'; {cfg.model.get('type')} has "
                          'one mask per expression: use --dump')
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    cfg.test_evaluator = [*evaluators, {'type': 'InstanceResults', 'out_file': out_file}]


def draw_into(cfg: Config, folder: str) -> None:
    """Make the test draw its first images into a folder, also where the config has no visualization hook."""
    hook = next((each for each in hook_nodes(cfg) if builds(HOOKS, each, ReferringVisualizationHook)), None)
    if hook is None:
        hook = {'type': 'ReferringVisualizationHook'}
        cfg.default_hooks = {**(cfg.get('default_hooks') or {}), 'visualization': {**hook, 'out_dir': folder}}
        return
    hook['out_dir'] = folder


def dump_header(cfg: Config) -> dict[str, Any]:
    """Return how the masks of a dump are made: config, checkpoint, data and decoding."""
    model = cfg.model
    header: dict[str, Any] = {
        'config': os.path.basename(cfg.filename or ''),
        'checkpoint': cfg.load_from,
        'ann_file': cfg.test_dataloader.dataset.get('ann_file'),
    }
    absent = (cfg.test_dataloader.dataset.get('entries') or {}).get('absent')
    if absent is not None:
        header['absent'] = repr(ENTRY_STEPS.build({'type': 'AbsentParts', **absent}))
    if builds(MODELS, model, ReferringDetector):
        for key in ('resolver', 'rule', 'targets', 'score_threshold'):
            header[key] = argument(MODELS, model, key)
        return header
    decode = argument(MODELS, model, 'decode')
    return {
        **header,
        **({'amp': True} if argument(MODELS, model, 'amp') else {}),
        'decode': decode,
        'threshold': get_decode(decode, argument(MODELS, model, 'threshold')).threshold if decode else None,
        'choices': choices_line(published_choices(cfg)),
    }
