import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import ImagePredictions
from mmpartref.evaluation.scoring.part_ap import INSTANCES, MERGED, instance_ap, merged_ap
from mmpartref.masks.iou import encode_masks

SIZE = (20, 30)


def boxes_to_rles(boxes: np.ndarray) -> list[dict]:
    masks = np.zeros((len(boxes), *SIZE), dtype=bool)
    for mask, (y, x, height, width) in zip(masks, boxes, strict=True):
        mask[y:y + height, x:x + width] = True
    return encode_masks(masks)


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    """Random parts of three images and three categories, one a crowd, and results near them."""
    rng = np.random.default_rng(3)
    boxes = np.stack([rng.integers(0, 10, 24), rng.integers(0, 15, 24), rng.integers(2, 10, 24),
                      rng.integers(2, 12, 24)], axis=1)
    moved = boxes + rng.integers(-1, 2, boxes.shape).clip(-boxes + 1)
    records = [{'id': number, 'image_id': 1 + number % 3, 'category_id': (7, 9, 11)[number % 5 % 3],
                'segmentation': rle, 'area': float(box[2] * box[3]), 'iscrowd': int(number == 20)}
               for number, (rle, box) in enumerate(zip(boxes_to_rles(boxes), boxes, strict=True), 1)]
    document = {'images': [{'id': number, 'file_name': f'{number}.jpg', 'height': SIZE[0], 'width': SIZE[1]}
                           for number in (1, 2, 3)],
                'categories': [{'id': number, 'name': f'part {number}'} for number in (7, 9, 11)],
                'annotations': records}
    results = [{'image_id': each['image_id'], 'category_id': each['category_id'] if number % 7 else 9,
                'segmentation': rle, 'score': float(rng.random())}
               for number, (each, rle) in enumerate(zip(records, boxes_to_rles(moved), strict=True))]
    (tmp_path / 'parts.json').write_text(json.dumps(document))
    (tmp_path / 'results.json').write_text(json.dumps(results))
    return tmp_path / 'results.json', tmp_path / 'parts.json'


def test_instances_are_scored_as_pycocotools_scores_the_files(files):
    results, ann_file = files
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(str(ann_file))
        evaluation = COCOeval(api, api.loadRes(str(results)), 'segm')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    found = instance_ap(results, ann_file)
    assert (found.kind, found.categories) == (INSTANCES, 3)
    names = ['AP', 'AP50', 'AP75', 'AP_small']
    assert [found.metrics[name] for name in names] == pytest.approx(evaluation.stats[:4].tolist())
    assert 0.05 < found.metrics['AP'] < found.metrics['AP50'] < 1
    # No part is as large as 32 x 32 pixels.
    assert list(found.metrics) == names


def test_results_that_cannot_be_counted_are_named(files):
    results, ann_file = files
    records = json.loads(results.read_text())
    for change, message in (({'score': None}, 'result number 0 has no category_id or no score'),
                            ({'category_id': 8}, r'result number 0 is of image 2 and category 8, which .*parts\.json'),
                            ({'image_id': 4}, r'result number 0 is of image 4')):
        results.write_text(json.dumps([{**records[0], **change}, *records[1:]]))
        with pytest.raises(InputError, match=message):
            instance_ap(results, ann_file)


def test_merged_masks_by_hand(strip):
    dump = PredictionDump({}, [ImagePredictions('a', 'a.jpg', (1, 60), [
        strip('head', [(0, 10), (20, 30)], [(0, 10), (20, 30)], ref_id='a:1'),
        strip('tail', [(40, 50)], [(40, 46)], ref_id='a:2'),
        strip('wing', [], [(0, 9)], ref_id='a:3', absent='other')])])
    found = merged_ap(dump)
    assert (found.kind, found.categories) == (MERGED, 2)
    # The head is whole: 1 at all ten thresholds. The tail's IoU of 0.6 reaches .5, .55 and .6.
    assert found.metrics == {name: pytest.approx(value) for name, value in {
        'AP': (1 + 0.3) / 2, 'AP50': 1, 'AP75': 0.5, 'AP_small': (1 + 0.3) / 2}.items()}
    with pytest.raises(InputError, match='there is no expression of a part that is in its image'):
        merged_ap(PredictionDump({}, []))


def test_the_tool_says_which_of_the_two_it_prints(run_tool, files, tmp_path):
    results, ann_file = files
    common = ['--predictions', results, '--ann-file', ann_file, '--rule', 'union', '--ap']
    printed = run_tool('evaluate', *common, '--out', tmp_path / 'dump.json', '--json', tmp_path / 'scores.json')
    assert 'part AP of instances, 3 categories' in printed
    scores = json.loads((tmp_path / 'scores.json').read_text())['part_ap']
    assert scores['AP'] == instance_ap(results, ann_file).metrics['AP']
    merged = run_tool('evaluate', tmp_path / 'dump.json', '--ap')
    assert 'part AP of one mask per expression, 3 categories' in merged
    assert 'not comparable with AP of instances' in merged
