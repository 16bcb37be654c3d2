"""Second pass over small parts."""
import copy
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mmpartref.datasets.transforms import Letterbox, PackReferringInputs
from mmpartref.datasets.transforms.random_part_zoom import Window
from mmpartref.errors import InputError
from mmpartref.models.segmentors.zoom import Zoom, choose_windows, predicted_boxes
from mmpartref.registry import MODELS

TEXTS = ['car mirror', 'bird beak']


def test_boxes_are_in_pixels_of_the_image() -> None:
    matrix = np.array([[0.5, 0, 3], [0, 0.5, -1]])
    probability = torch.zeros(3, 8, 10)
    probability[0, 2:5, 1:3] = 0.9
    probability[1, 6, 7] = 0.3  # below the threshold: half of the peak counts
    boxes = predicted_boxes(probability, 0.5, 4, matrix)
    # The edges of the cells in the network's input, minus half a pixel, through the inverse of the matrix.
    assert boxes[0].tolist() == [(3.5 - 3) / 0.5, (7.5 + 1) / 0.5, (11.5 - 3) / 0.5, (19.5 + 1) / 0.5]
    assert boxes[1].tolist() == [(27.5 - 3) / 0.5, (23.5 + 1) / 0.5, (31.5 - 3) / 0.5, (27.5 + 1) / 0.5]


def test_windows_hold_their_boxes_and_near_ones_are_united() -> None:
    boxes = np.array([[100, 100, 110, 110], [112, 104, 120, 112], [300, 20, 312, 30], [0, 0, 399, 399]], float)
    found = choose_windows(boxes, (400, 400), (100, 100), Zoom())
    assert sorted(rows for _, rows in found) == [[0, 1], [2]]  # the whole image needs no second look
    for window, rows in found:
        assert window.top >= 0 and window.left >= 0  # noqa: PT018
        assert max(window.top + window.height, window.left + window.width) <= 400
        for row in rows:
            assert window.left <= boxes[row][0] and boxes[row][2] <= window.left + window.width  # noqa: PT018
            assert window.top <= boxes[row][1] and boxes[row][3] <= window.top + window.height  # noqa: PT018
        # At most max_gain times the first pass's scale of a quarter.
        assert min(window.height, window.width) >= 100
    assert choose_windows(boxes, (100, 100), (100, 100), Zoom(max_gain=1.3, min_gain=1.3)) is not None
    assert choose_windows(np.array([[0.0, 0, 90, 90]]), (100, 100), (100, 100), Zoom()) == []


@pytest.mark.parametrize('seed', range(20))
def test_random_boxes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, net = (int(rng.integers(50, 600)), int(rng.integers(50, 600))), (96, 128)
    corner = rng.uniform(0, 1, (7, 2)) * (size[1], size[0])
    boxes = np.concatenate([corner, np.minimum(corner + rng.uniform(1, 60, (7, 2)), (size[1], size[0]))], axis=1)
    zoom = Zoom(context=float(rng.uniform(1, 5)), min_gain=1.2, max_gain=6)
    base = min(net[0] / size[0], net[1] / size[1])
    found = choose_windows(boxes, size, net, zoom)
    rows = [row for _, each in found for row in each]
    assert len(rows) == len(set(rows))
    for (top, left, height, width), _ in found:
        assert 0 <= top <= top + height <= size[0]
        assert 0 <= left <= left + width <= size[1]
        assert 1.19 * base <= min(net[0] / height, net[1] / width)


def sample(size: tuple[int, int], centre: tuple[int, int], radius: int, keep: bool = True) -> dict[str, Any]:
    """An image with a red ellipse, and its mask, at a network input of 64 pixels."""
    image = np.random.default_rng(0).integers(0, 90, (*size, 3), dtype=np.uint8)
    image[..., 0] = 0
    cv2.ellipse(image, centre, (radius, radius // 2 + 1), 20, 0, 360, (255, 60, 60), -1)
    results = {'img': image, 'img_id': 1, 'img_path': 'a.jpg', 'expressions': TEXTS}
    results = Letterbox(64, half_pixel=True, fill=(0, 0, 0), keep_original=keep)(results)
    return PackReferringInputs()(results)


def build(cfg: dict, zoom: dict | None) -> torch.nn.Module:
    cfg = copy.deepcopy(cfg)
    cfg.update(decode='aligned', zoom=zoom)
    torch.manual_seed(0)
    return MODELS.build(cfg).eval()


def predict(model: torch.nn.Module, *samples: dict) -> list:
    samples = copy.deepcopy(samples)
    data = {'inputs': [each['inputs'] for each in samples], 'data_samples': [each['data_samples'] for each in samples]}
    return model(**model.data_preprocessor(data), mode='predict')


def see_red(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the network by one that finds red pixels, at its stride, with a share of its own outputs."""
    own = model._network

    def network(images, words, padding, sentence, image_index, text_index):
        red = (images * model.data_preprocessor.std + model.data_preprocessor.mean)[:, :1] / 255
        share = torch.nn.functional.avg_pool2d(red, 4).clamp(0.001, 0.999)
        return torch.logit(share)[image_index] + 0.1 * own(images, words, padding, sentence, image_index,
                                                           text_index)[0], None, None

    monkeypatch.setattr(model, '_network', network)


def iou(one: torch.Tensor, other: np.ndarray) -> float:
    one = one.numpy()
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize('radius', [8, 12, 60])
def test_a_small_part_is_seen_more_finely_and_a_large_one_as_before(radius, tiny_model_cfg, monkeypatch) -> None:
    drawn = sample((300, 400), (150, 120), radius)
    truth = drawn['data_samples'].original[..., 0] > 128
    plain, zoomed = build(tiny_model_cfg, None), build(tiny_model_cfg, {'weight': 1.0})
    for model in (plain, zoomed):
        see_red(model, monkeypatch)
    before, after = (iou(predict(model, drawn)[0].pred_masks[0], truth) for model in (plain, zoomed))
    assert after > 0.65
    if radius < 20:
        assert after > before + 0.1
    else:
        assert after >= before - 0.01


def test_without_windows_or_weight_the_masks_are_those_of_one_pass(tiny_model_cfg) -> None:
    drawn = sample((300, 400), (150, 120), 10)
    plain = predict(build(tiny_model_cfg, None), drawn)[0]
    for zoom in ({'weight': 0.0}, {'min_gain': 50, 'max_gain': 50}):
        found = predict(build(tiny_model_cfg, zoom), drawn)[0]
        assert torch.equal(found.pred_masks, plain.pred_masks)
        torch.testing.assert_close(found.pred_scores, plain.pred_scores)


def test_one_by_one_equals_grouped(tiny_model_cfg, monkeypatch) -> None:
    model = build(tiny_model_cfg, {'min_gain': 1.01})
    see_red(model, monkeypatch)
    drawn = [sample((300, 400), (150, 120), 10), sample((90, 70), (30, 40), 20), sample((200, 640), (500, 60), 30)]
    together = predict(model, *drawn)
    assert any(each.pred_windows[1] for each in together)
    for single, grouped in zip(drawn, together, strict=True):
        alone, = predict(model, single)
        assert [each.window for each in alone.pred_windows[1]] == [each.window for each in grouped.pred_windows[1]]
        torch.testing.assert_close(alone.pred_scores, grouped.pred_scores, rtol=0, atol=1e-4)
        assert (alone.pred_masks != grouped.pred_masks).float().mean() < 1e-3
        for index in range(2):
            heat = model.heat_map(grouped, index)
            assert torch.equal(heat > model.decode.threshold, grouped.pred_masks[index])


def test_the_second_pass_has_the_precision_of_the_first(tiny_model_cfg, monkeypatch) -> None:
    model = build({**tiny_model_cfg, 'amp': True}, {'min_gain': 1.01})
    see_red(model, monkeypatch)
    seen = []
    model.decode_head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    predict(model, sample((300, 400), (150, 120), 10))
    assert seen == [torch.bfloat16, torch.bfloat16]


def test_what_it_needs(tiny_model_cfg) -> None:
    with pytest.raises(InputError, match='set keep_original=True of Letterbox in the test pipeline'):
        predict(build(tiny_model_cfg, {}), sample((300, 400), (150, 120), 10, keep=False))
    for wrong in ({'context': 0}, {'min_gain': 5, 'max_gain': 4}, {'weight': 2}):
        with pytest.raises(InputError, match=r'zoom\.'):
            build(tiny_model_cfg, wrong)
    assert Window(0, 0, 1, 1).height == 1
