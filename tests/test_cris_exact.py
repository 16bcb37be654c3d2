"""Every published quirk of CRIS is a named switch of ``configs/_base_/cris_exact.py``, and each has its effect."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpartref.engine.launch.published_choices import choices_line, published_choices
from mmpartref.evaluation.scoring.iou_metrics import Row, summarise
from mmpartref.masks.iou import encode_masks, score_rles
from mmpartref.models.segmentors.mask_decode import get_decode
from mmpartref.registry import METRICS, MODELS, TRANSFORMS

CONFIGS = Path(__file__).parents[1] / 'configs'


@pytest.fixture(scope='module')
def exact() -> Config:
    return Config.fromfile(CONFIGS / 'cris_r50_partimagenet.py')


@pytest.fixture(scope='module')
def aligned() -> Config:
    return Config.fromfile(CONFIGS / 'cris/cris_r50_aligned_partimagenet.py')


def letterbox(cfg: Config, split: str):
    step = next(each for each in cfg[f'{split}_dataloader'].dataset.pipeline if each['type'] == 'Letterbox')
    return TRANSFORMS.build(step)


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_letterbox_shifts_the_content_by_half_of_what_a_pixel_shrinks(exact, aligned, split):
    """Published: x' = s x + bias, which puts an image's content (1 - s) / 2 network pixels off its true place."""
    grey = np.arange(832) * 250 / 831  # the level of a ramp shows where in the image a pixel was read
    image = np.repeat(np.tile(grey.round().astype(np.uint8), (832, 1))[..., None], 3, axis=2)
    read_at = []
    for cfg in (exact, aligned):
        row = letterbox(cfg, split).transform({'img': image.copy()})['img'][200, 8:-8, 0]
        read_at.append(row.mean() * 831 / 250)  # in image pixels, averaged over the row
    centres = 2 * np.arange(8, 408) + 0.5  # the centre of a network pixel, in image pixel indices
    assert read_at[1] == pytest.approx(centres.mean(), abs=0.05)
    assert (read_at[1] - read_at[0]) * 0.5 == pytest.approx((1 - 0.5) / 2, abs=0.05)


def test_word_length(exact):
    with torch.device('meta'):
        encoder = MODELS.build({**exact.model.text_encoder, 'init_cfg': None})
    tokenizer = encoder.tokenizer
    row = tokenizer(['the left side mirror of the small red car that stands in front of the very old white house'])
    assert row.shape == (1, 17)
    assert row[0, -1] == tokenizer.end
    longer = MODELS.build({**exact.model.text_encoder, 'init_cfg': None, 'word_length': 22, 'layers': 1, 'width': 64,
                           'heads': 1})
    assert longer.tokenizer(['a']).shape == (1, 22)


def test_decode_moves_a_mask_that_the_other_leaves_in_place():
    """One bright logit cell: aligned corners pull it towards the middle of the image, pixel centres keep it."""
    probs = torch.zeros(1, 8, 8)
    probs[0, 1, 1] = 1  # cell 1 covers pixels 4 to 7, centre 5.5
    identity = np.eye(2, 3)
    centres = []
    for name in ('cris', 'aligned'):
        on_image = get_decode(name).to_image(probs, (32, 32), identity, (32, 32))[0].clamp(min=0)
        column = on_image.sum(dim=0)
        centres.append(((column * torch.arange(32)).sum() / column.sum()).item())
    assert centres[1] == pytest.approx(5.5, abs=0.05)
    # With corners aligned, cell 1 of 8 is at 31 / 7 of 32 pixels.
    assert centres[0] == pytest.approx(31 / 7, abs=0.1)


def test_the_inverse_warp_is_cubic():
    """Half way down a step, cubic interpolation overshoots; a linear one would stay between 0 and 1."""
    probs = torch.zeros(1, 8, 8)
    probs[0, :, 4:] = 1
    on_image = get_decode('cris').to_image(probs, (32, 32), np.array([[0.5, 0, 0], [0, 0.5, 0]]), (64, 64))
    assert on_image.max() > 1.01
    assert on_image.min() < -0.01


@pytest.mark.parametrize(('strict', 'expected'), [(True, 0.0), (False, 1.0)])
def test_precision_at_x_is_strict(exact, strict, expected):
    """A prediction whose IoU is 1/2 exactly."""
    truth, predicted = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    truth[:2], predicted[:1] = True, True
    score = score_rles(*encode_masks(predicted[None]), encode_masks(truth[None]))
    assert score.overlap.iou == 0.5
    with DefaultScope.overwrite_default_scope('mmpartref'):
        metric = METRICS.build({**exact.test_evaluator, 'strict': strict})
    assert exact.test_evaluator.strict is True
    row = Row(1, '1', 'car head', 'Head', 'Car', score)
    assert summarise([row], strict=metric.strict)['P@0.5'] == expected


def test_the_chosen_conventions_are_described(exact, aligned):
    published = (
        "decode: 'cris', mask above 0.35; words: 17 tokens; letterbox: no half-pixel offset; Precision@X: IoU > X; "
        'first epoch: every part at the full learning rate')
    for cfg in (exact, Config.fromfile(CONFIGS / 'cris/cris_r101_partimagenet.py')):
        assert choices_line(published_choices(cfg.to_dict())) == published
    assert choices_line(published_choices(aligned.to_dict())) == (
        "decode: 'aligned', mask above 0.5; words: 17 tokens; letterbox: pixel centres in place; Precision@X: IoU > X; "
        'first epoch: each part at its own learning rate')
