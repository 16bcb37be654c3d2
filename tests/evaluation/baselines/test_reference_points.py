import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from pycocotools import mask as coco_mask

from mmpartref.datasets.transforms.letterbox import Letterbox
from mmpartref.evaluation.baselines.mean_mask import area_matrix, best_mean_threshold, coverage, fit_mean_masks
from mmpartref.evaluation.baselines.reference_points import (
    DecodeCeilingPredictor,
    predict,
    reference_dump,
    train_config,
    whole_objects,
)
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.scoring.iou_metrics import summarise
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.masks.iou import encode_masks
from mmpartref.models.segmentors.mask_decode import get_decode
from mmpartref.models.segmentors.probability_masks import write_prediction
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample

CATEGORIES = {1: ('Car Body', 'Car'), 2: ('Car Tire', 'Car'), 3: ('Bird Head', 'Bird'), 4: ('Bird Tail', 'Bird')}
TEST_PIPELINE = [{'type': 'LoadImage'}, {'type': 'Letterbox', 'size': 64, 'half_pixel': True},
                 {'type': 'PackReferringInputs'}]
Images = list[tuple[tuple[int, int], list[tuple[int, tuple[int, int, int, int]]]]]


def write_coco(path: Path, images: Images) -> None:
    """``images``: (h, w) and pairs of category id and box (x, y, width, height)."""
    annotations = []
    for img_id, (_, parts) in enumerate(images, 1):
        for category_id, (x, y, w, h) in parts:
            ring = [x, y, x + w, y, x + w, y + h, x, y + h]
            annotations.append({'id': len(annotations) + 1, 'image_id': img_id, 'category_id': category_id,
                                'segmentation': [ring], 'area': w * h, 'iscrowd': 0})
    path.write_text(json.dumps({
        'images': [{'id': img_id, 'file_name': f'{img_id}.jpg', 'height': h, 'width': w}
                   for img_id, ((h, w), _) in enumerate(images, 1)],
        'annotations': annotations,
        'categories': [{'id': key, 'name': name, 'supercategory': owner} for key, (name, owner) in CATEGORIES.items()],
    }))


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    """Write both splits and a config of them; keywords are further entries of the datasets."""
    def make(train: Images, test: Images, train_dataset: dict | None = None, **dataset: object) -> Config:
        write_coco(tmp_path / 'train.json', train)
        write_coco(tmp_path / 'test.json', test)
        common = {'type': 'PartReferDataset', 'data_root': str(tmp_path), **dataset}
        content = {
            'model': {'type': 'ReferringSegmentor', 'decode': 'aligned'},
            'train_dataloader': {'dataset': train_dataset or {**common, 'ann_file': 'train.json'}},
            'test_dataloader': {'dataset': {**common, 'ann_file': 'test.json', 'pipeline': TEST_PIPELINE}},
        }
        file = tmp_path / 'small.py'
        file.write_text(''.join(f'{key} = {value!r}\n' for key, value in content.items()))
        return Config.fromfile(file)
    return make


def ious(dump: PredictionDump) -> dict[str, float]:
    return {row.ref_id: row.score.overlap.iou for row in score_dump(dump)}


def entry_of(masks: np.ndarray, part: str = 'tire') -> dict:
    """An image with one ref of one annotation per mask of (K, h, w)."""
    refs = [{'ref_id': f'1:{number}', 'category_id': number, 'part': part, 'super_category': 'car',
             'expressions': ['car tire'], 'ann_ids': [number],
             'rles': [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))]}
            for number, mask in enumerate(masks)]
    return {'img_id': 1, 'img_path': '1.jpg', 'height': masks.shape[1], 'width': masks.shape[2], 'refs': refs}


def test_absent_parts_have_no_reference_point(config):
    images = [((64, 64), [(1, (16, 16, 32, 32)), (2, (0, 0, 9, 9))]), ((64, 64), [(3, (8, 8, 20, 20))])]
    for name in ('mean-mask', 'whole-object', 'decode-ceiling'):
        plain = reference_dump(name, config(images, images))
        with_absent = reference_dump(name, config(images, images, entries={'absent': {'number': 2}}))
        assert with_absent.images == plain.images
        assert ious(plain).keys() == {'1:1', '1:2', '2:3'}


# Mean masks.


@pytest.mark.parametrize('length', [1, 50, 64, 65, 375])
def test_cells_average_all_pixels_equally(length):
    matrix = area_matrix(length)
    assert matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(matrix.sum(axis=0), 64 / length, rtol=1e-5)


def test_coverage_is_the_share_of_each_cell():
    mask = np.zeros((1, 128, 192), np.uint8)
    mask[0, :3, :3] = 1
    share = coverage(mask)[0]
    np.testing.assert_allclose(share[:3, :2], [[1, 0], [0.5, 0], [0, 0]], atol=1e-6)
    assert share.sum() == pytest.approx(1.5)


def test_identical_squares_come_back_at_any_size(config):
    # The same quarter of the frame everywhere; two of the test images' sizes do not occur in train.
    train = [((64, 64), [(1, (16, 16, 32, 32))]), ((128, 64), [(1, (16, 32, 32, 64))])]
    test = [((64, 64), [(1, (16, 16, 32, 32))]), ((192, 256), [(1, (64, 48, 128, 96))]),
            ((128, 128), [(1, (32, 32, 64, 64))])]
    dump = reference_dump('mean-mask', config(train, test))
    # Linear interpolation rounds the corners off where a cell is more than two pixels wide: one pixel each.
    assert ious(dump) == {'1:1': 1.0, '2:1': 1 - 4 / (128 * 96), '3:1': 1.0}
    assert 0.9 < dump.images[0].expressions[0].score <= 1


def test_categories_have_separate_means_and_unseen_ones_are_counted(config, capsys):
    train = [((64, 64), [(1, (0, 0, 32, 32)), (3, (32, 32, 32, 32))])]
    test = [((64, 64), [(1, (0, 0, 32, 32)), (3, (32, 32, 32, 32)), (4, (0, 0, 9, 9))]),
            ((32, 32), [(4, (0, 0, 9, 9))])]
    dump = reference_dump('mean-mask', config(train, test))
    assert ious(dump) == {'1:1': 1.0, '1:3': 1.0, '1:4': 0.0, '2:4': 0.0}
    unseen = dump.images[1].expressions[0]
    assert coco_mask.area(unseen.pred) == 0
    assert unseen.pred['size'] == [32, 32]
    assert unseen.score == 0
    printed = capsys.readouterr().out
    assert '2 expressions of 1 categories that are not in train have an empty mask: bird tail' in printed


def test_several_annotations_of_an_image_are_averaged_as_one_union(config):
    # Two tires each; counted one by one, the mean would be half as high and the image would count twice.
    image = ((64, 64), [(2, (0, 32, 16, 16)), (2, (48, 32, 16, 16))])
    for instances, refs in (('merged', 1), ('separate', 2)):
        dump = reference_dump('mean-mask', config([image], [image], entries={'expressions': {'instances': instances}}))
        predictions = dump.images[0].expressions
        assert len(predictions) == refs
        assert {int(coco_mask.area(each.pred)) for each in predictions} == {512}
        assert predictions[0].score == 1.0


def test_the_threshold_is_the_best_one_on_train():
    """Three nested squares: the mean is 1, 2/3 and 1/3; the IoUs of each level are counted by hand."""
    sides = (16, 32, 48)
    masks = np.zeros((3, 64, 64), np.uint8)
    for mask, side in zip(masks, sides, strict=True):
        mask[:side, :side] = 1
    fitted = fit_mean_masks(lambda _: [entry_of(mask[None]) for mask in masks])['car', 'tire']
    assert fitted.images == 3
    np.testing.assert_allclose(np.unique(fitted.mean), [0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    by_side = {side: np.mean([min(side, each)**2 / max(side, each)**2 for each in sides]) for side in sides}
    assert max(by_side, key=lambda side: by_side[side]) == 32
    assert fitted.train_iou == pytest.approx(by_side[32])
    # .35 to .65 all give the middle square.
    assert fitted.threshold == 0.5


def test_thresholds_apart_from_the_middle_are_chosen_where_they_are_better():
    assert best_mean_threshold([0.1] * 7 + [0.4] * 2 + [0.2] * 14) == (0.25, 0.4)
    assert best_mean_threshold([0.1] * 19 + [0.4] * 3 + [0.2]) == (0.8, 0.4)
    assert best_mean_threshold([0.1, 0.4] + [0.2] * 21) == (0.02, 0.4)


def test_a_mean_below_every_threshold_is_reported(config, capsys):
    # A pixel of a 1024-pixel line covers a sixteenth of a cell's width and as much of its height.
    train = [((1024, 1024), [(2, (0, 0, 1, 1))])]
    dump = reference_dump('mean-mask', config(train, train))
    assert ious(dump) == {'1:2': 0.0}
    assert '1 categories whose mean is nowhere above 0.01 have an empty mask too: car tire' in capsys.readouterr().out


def test_a_train_split_in_another_form_is_read_as_the_test_split_is(config, tmp_path):
    image = ((64, 64), [(1, (16, 16, 32, 32))])
    place = {'data_root': str(tmp_path), 'ann_file': 'train.json'}
    for train in ({'type': 'mmdet.CocoDataset', **place, 'filter_cfg': {'min_size': 1}},
                  {'type': 'RepeatDataset', 'times': 3, 'dataset': {'type': 'PartReferDataset', **place}}):
        assert ious(reference_dump('mean-mask', config([image], [image], train))) == {'1:1': 1.0}
    cfg = config([image], [image], {'type': 'RepeatDataset', 'times': 3, 'data_root': 'elsewhere',
                                    'dataset': {'type': 'A', 'ann_file': 'a.json', 'data_root': 'x', 'indices': 7}})
    read = train_config(cfg, cfg.test_dataloader.dataset)
    assert (read['ann_file'], read['data_root'], read['indices']) == ('a.json', 'elsewhere', 7)
    with pytest.raises(ValueError, match='no single ann_file'):
        reference_dump('mean-mask', config([image], [image], {'type': 'ConcatDataset', 'datasets': []}))


# Whole objects.


@pytest.mark.parametrize('instances', ['merged', 'separate'])
def test_a_whole_object_is_the_union_of_its_parts(config, instances):
    # A body with two tires, half of each inside it, and a bird elsewhere.
    parts = [(1, (0, 0, 40, 20)), (2, (0, 15, 10, 10)), (2, (30, 15, 10, 10)), (3, (50, 40, 5, 5))]
    dump = reference_dump('whole-object', config([], [((50, 60), parts)],
                                                 entries={'expressions': {'instances': instances}}))
    car, bird = 800 + 2 * 50, 25
    true_areas = {'merged': (800, 200, 25), 'separate': (800, 100, 100, 25)}[instances]
    union = np.zeros((50, 60), bool)
    for _, (x, y, w, h) in parts[:3]:
        union[y:y + h, x:x + w] = True
    predictions = dump.images[0].expressions
    assert [each.pred for each in predictions[:-1]] == encode_masks(np.stack([union] * (len(predictions) - 1)))
    assert list(ious(dump).values()) == [area / whole for area, whole in
                                         zip(true_areas, [car] * (len(true_areas) - 1) + [bird], strict=True)]


def test_single_expressions_still_see_the_whole_image(config):
    image = ((50, 60), [(1, (0, 0, 40, 20)), (2, (0, 20, 10, 10))])
    dump = reference_dump('whole-object', config([], [image], group_by='expression'))
    assert ious(dump) == {'1:1': 800 / 900, '1:2': 100 / 900}
    with pytest.raises(ValueError, match='indices count expressions'):
        reference_dump('whole-object', config([], [image], group_by='expression', indices=1))


# Decode ceilings.


def ellipses() -> np.ndarray:
    """Twenty ellipses 16 pixels wide in 375 x 500 images."""
    rng = np.random.default_rng(0)
    masks = np.zeros((20, 375, 500), np.uint8)
    for mask in masks:
        centre = (int(rng.integers(80, 420)), int(rng.integers(80, 300)))
        cv2.ellipse(mask, centre, (8, int(8 * rng.uniform(0.6, 1))), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return masks


def test_the_aligned_ceiling_is_higher_for_small_parts():
    masks = ellipses()
    found = {}
    for name, half_pixel in (('cris', False), ('aligned', True)):
        ceiling = DecodeCeilingPredictor(get_decode(name), Letterbox(416, half_pixel=half_pixel), 32)
        predicted = coco_mask.decode([rle for rle, _ in ceiling(entry_of(masks))]).transpose(2, 0, 1)
        found[name] = np.mean((predicted & masks).sum(axis=(1, 2)) / (predicted | masks).sum(axis=(1, 2)))
    assert 0.5 < found['cris'] < 0.65
    assert 0.9 < found['aligned'] < 0.95


@pytest.mark.parametrize(('decode', 'size', 'threshold'), [
    ('cris', (64, 64), None), ('aligned', (64, 64), None), ('cris', (50, 70), 0.2), ('aligned', (50, 70), 0.7)])
def test_the_ceiling_takes_the_path_of_the_model(tiny_model_cfg, monkeypatch, decode, size, threshold):
    """Target from the model's ``loss``, mask from its ``predict``, for any size of the input."""
    masks = np.zeros((2, 40, 60), np.uint8)
    masks[0, 3:30, 5:22] = masks[1, 20:40, 41:60] = 1
    letterbox = Letterbox(size, half_pixel=decode == 'aligned')
    placed = letterbox.transform({'img': np.zeros((40, 60, 3), np.uint8), 'gt_masks': masks * 255})
    sample = ReferringDataSample(metainfo={key: placed[key] for key in ('ori_shape', 'img_shape', 'letterbox_matrix')})
    sample.gt_masks = torch.from_numpy(placed['gt_masks'])

    model = MODELS.build({**tiny_model_cfg, 'decode': decode, 'threshold': threshold})
    logits = torch.zeros(2, 1, *(-(-side // 4) for side in size))
    targets = []
    monkeypatch.setattr(model, 'encode_decode', lambda *args: logits)
    monkeypatch.setattr(model.decode_head, 'loss', lambda _, target: targets.append(target) or {})
    nothing = torch.zeros(0, dtype=torch.long)
    model.loss(torch.zeros(1, 3, *size), [sample], nothing, nothing, nothing)
    write_prediction(sample, targets[0][:, 0], model.decode, keep_candidates=False)

    applied = get_decode(decode, threshold)
    found = DecodeCeilingPredictor(applied, letterbox, 32)(entry_of(masks))
    # Computed twice: scores may differ in the last digits, masks where the probability is at the threshold.
    assert [score for _, score in found] == pytest.approx(sample.pred_scores.tolist(), rel=1e-5)
    probability = applied.to_image(targets[0][:, 0], size, placed['letterbox_matrix'], (40, 60))
    decided = ((probability - applied.threshold).abs() > 1e-5).numpy()
    assert decided.mean() > 0.9
    predicted = coco_mask.decode([rle for rle, _ in found]).transpose(2, 0, 1).astype(bool)
    np.testing.assert_array_equal(predicted[decided], sample.pred_masks.numpy()[decided])
    assert sample.pred_masks.any(dim=(1, 2)).all()


@pytest.mark.parametrize(('change', 'message'), [
    ({'model': {'type': 'ReferringDetector'}}, "model is a ReferringDetector"),
    ({'test_dataloader': {'dataset': {'pipeline': [{'type': 'LoadImage'}]}}}, 'has 0 Letterbox steps')])
def test_a_ceiling_without_a_decode_or_a_letterbox_is_rejected(config, change, message):
    cfg = config([], [((50, 60), [(1, (0, 0, 40, 20))])])
    cfg.merge_from_dict(change)
    with pytest.raises(ValueError, match=message):
        reference_dump('decode-ceiling', cfg)


# Dumps and the tool.


def test_datasets_that_cannot_be_read_image_by_image_are_rejected(config):
    cfg = config([], [((50, 60), [(1, (0, 0, 40, 20))])])
    with pytest.raises(ValueError, match='no val_dataloader'):
        reference_dump('whole-object', cfg, 'val')
    with pytest.raises(ValueError, match=r"choose one of \('mean-mask'"):
        reference_dump('mean_mask', cfg)


def test_an_image_of_another_size_than_its_masks_is_rejected():
    entry = {**entry_of(np.ones((1, 4, 6), bool)), 'height': 5}

    class One:
        def __len__(self) -> int:
            return 1

        def get_data_info(self, _: int) -> dict:
            return entry

    with pytest.raises(ValueError, match='5 x 6 pixels'):
        predict(One(), whole_objects, 'x')


@pytest.mark.parametrize(('kind', 'extra'), [
    ('mean-mask', {'name': 'mean mask', 'train_ann_file': 'train.json'}), ('whole-object', {'name': 'whole object'}),
    ('decode-ceiling', {'name': 'decode ceiling aligned', 'decode': 'aligned', 'threshold': 0.4})])
def test_the_tool_writes_a_dump_that_scores_the_same(config, tmp_path, run_tool, kind, extra):
    images = [((48, 64), [(1, (0, 0, 40, 20)), (2, (0, 15, 10, 10)), (2, (30, 15, 10, 10)), (3, (50, 30, 9, 9))]),
              ((64, 48), [(1, (3, 9, 33, 20)), (3, (20, 40, 12, 20))])]
    config(images, images, data_root='nowhere')
    out = tmp_path / 'dumps' / 'one.json'
    options = ['--cfg-options', 'model.threshold=0.4'] if kind == 'decode-ceiling' else []
    printed = run_tool('reference_points', tmp_path / 'small.py', kind, '--dump', out, '--data-root', tmp_path,
                       *options)
    dump = read_dump(out)
    assert dump.header == {'config': 'small.py', 'reference_point': kind, 'ann_file': 'test.json', **extra}
    assert summarise(score_dump(dump))['expressions'] == 5
    again = run_tool('evaluate', out)
    assert f"name {extra['name']}, config small.py" in again
    assert printed.endswith(again)


def test_a_missing_json_is_one_sentence(config, tmp_path, run_tool):
    config([], [((50, 60), [(1, (0, 0, 40, 20))])])
    (tmp_path / 'train.json').unlink()
    with pytest.raises(SystemExit, match=r'train\.json'):
        run_tool('reference_points', tmp_path / 'small.py', 'mean-mask', '--dump', tmp_path / 'one.json')
    assert not (tmp_path / 'one.json').exists()
