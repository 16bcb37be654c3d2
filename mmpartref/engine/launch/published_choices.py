"""Which of CRIS's published choices a config takes, in words, to stand beside every result."""
from collections.abc import Mapping
from typing import Any

from mmpartref.models.segmentors.mask_decode import get_decode
from mmpartref.registry import METRICS, MODELS, TRANSFORMS, argument


def published_choices(cfg: Mapping[str, Any]) -> dict[str, str]:
    """Return what a config chooses where CRIS's published code made a choice that moves results.

    Args:
        cfg: a whole config; parts it lacks are skipped. Where it is silent, the defaults of the classes count.
    """
    choices: dict[str, str] = {}
    model = cfg.get('model') or {}
    if name := argument(MODELS, model, 'decode'):
        decode = get_decode(name, argument(MODELS, model, 'threshold'))
        choices['decode'] = f"'{decode.name}', mask above {decode.threshold}"
    length = argument(MODELS, model.get('text_encoder') or {}, 'word_length')
    if length:
        choices['words'] = f'{length} tokens'
    pipeline = ((cfg.get('test_dataloader') or {}).get('dataset') or {}).get('pipeline') or []
    for step in pipeline:
        if step.get('type') == 'Letterbox':
            choices['letterbox'] = ('pixel centres in place' if argument(TRANSFORMS, step, 'half_pixel') else
                                    'no half-pixel offset')
    evaluators = cfg.get('test_evaluator') or []
    for each in evaluators if isinstance(evaluators, list) else [evaluators]:
        if each.get('type') == 'ReferringSegMetric':
            choices['Precision@X'] = 'IoU > X' if argument(METRICS, each, 'strict') else 'IoU >= X'
    schedulers = cfg.get('param_scheduler') or []
    kinds = [each.get('type') for each in (schedulers if isinstance(schedulers, list) else [schedulers])]
    if kinds:
        choices['first epoch'] = ('every part at the full learning rate' if 'UniformFirstEpochLR' in kinds else
                                  'each part at its own learning rate')
    return choices


def choices_line(choices: Mapping[str, str]) -> str:
    """Write the choices as one line."""
    return '; '.join(f'{name}: {choice}' for name, choice in choices.items())
