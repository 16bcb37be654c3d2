"""CRIS's published choices that move results, as a config makes them; printed with every result."""
from collections.abc import Mapping
from typing import Any

from mmpartref.datasets.transforms.letterbox import Letterbox
from mmpartref.engine.config.config_nodes import builds
from mmpartref.engine.launch.dependent_keys import schedules_of
from mmpartref.engine.optim.uniform_first_epoch_lr import UniformFirstEpochLR
from mmpartref.evaluation.metrics.referring_seg_metric import ReferringSegMetric
from mmpartref.models.segmentors.mask_decode import LOGIT_STRIDE, get_decode
from mmpartref.registry import METRICS, MODELS, PARAM_SCHEDULERS, TRANSFORMS, argument


def published_choices(cfg: Mapping[str, Any]) -> dict[str, str]:
    """Return decoding, word length, letterbox, Precision@X and learning rates of a config, in words.

    Args:
        cfg: a complete config; choices of parts that it lacks are omitted. Arguments that it does not set have the
            defaults of the classes.
    """
    choices: dict[str, str] = {}
    model = cfg.get('model') or {}
    if name := argument(MODELS, model, 'decode'):
        decode = get_decode(name, argument(MODELS, model, 'threshold'))
        choices['decode'] = f"'{decode.name}', mask above {decode.threshold}"
    stride = argument(MODELS, model.get('decode_head') or {}, 'logit_stride')
    if stride not in (None, LOGIT_STRIDE):
        choices['logits'] = f'one per {stride} x {stride} pixels'
    laterals = argument(MODELS, model.get('decode_head') or {}, 'laterals')
    if laterals:
        choices['projector'] = f'with {laterals} lateral map{"s" * (laterals > 1)} of the image encoder'
    length = argument(MODELS, model.get('text_encoder') or {}, 'word_length')
    if length:
        choices['words'] = f'{length} tokens'
    pipeline = ((cfg.get('test_dataloader') or {}).get('dataset') or {}).get('pipeline') or []
    for step in pipeline:
        if builds(TRANSFORMS, step, Letterbox):
            choices['letterbox'] = ('pixel centres in place' if argument(TRANSFORMS, step, 'half_pixel') else
                                    'no half-pixel offset')
    evaluators = cfg.get('test_evaluator') or []
    for each in evaluators if isinstance(evaluators, list) else [evaluators]:
        if builds(METRICS, each, ReferringSegMetric):
            choices['Precision@X'] = 'IoU > X' if argument(METRICS, each, 'strict') else 'IoU >= X'
    schedulers = schedules_of(cfg)
    if schedulers:
        uniform = any(builds(PARAM_SCHEDULERS, each, UniformFirstEpochLR) for each in schedulers)
        choices['first epoch'] = ('every part at the full learning rate' if uniform else
                                  'each part at its own learning rate')
    return choices


def choices_line(choices: Mapping[str, str]) -> str:
    """Return the choices as one line."""
    return '; '.join(f'{name}: {choice}' for name, choice in choices.items())
