import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.evaluation.diagnosis.diagnose import FITS, diagnose, fit_of, summarise_diagnosis
from mmpartref.evaluation.diagnosis.diagnosis_tables import format_diagnosis
from mmpartref.evaluation.diagnosis.pixel_breakdown import count_pixels
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.dumps.predictions import ImagePredictions, Prediction, read_sample
from mmpartref.evaluation.scoring.iou_metrics import summarise
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.masks.iou import encode_masks


@pytest.fixture
def dump(strip) -> PredictionDump:
    """A bird whose head collapses, a tail that is missed, a car with mirrors mixed up, and a part that is not there."""
    bird = [strip('head', [(0, 10)], [(0, 40)]), strip('body', [(10, 40)], [(10, 40)]), strip('tail', [(40, 44)])]
    car = [strip('left mirror', [(0, 4)], [(10, 14)], owner='car', ref_id='2:l'),
           strip('right mirror', [(10, 14)], [(10, 15)], owner='car', ref_id='2:r'),
           strip('wheel', [], [(50, 60)], owner='car', ref_id='2:w', absent='other'),
           strip('door', [], [(50, 60)], owner='car', ref_id='2:d', absent='unannotated')]
    return PredictionDump({'config': 'cris.py'}, [ImagePredictions(1, 'a.jpg', (1, 60), bird),
                                                  ImagePredictions(2, 'b.jpg', (1, 60), car)])


@pytest.fixture
def random_dump(random_samples) -> PredictionDump:
    return PredictionDump({}, [read_sample(sample) for sample in random_samples])


def test_metrics_counted_by_hand(dump):
    found = summarise_diagnosis(diagnose(dump))
    ious = [10 / 40, 1, 0, 0, 4 / 5]
    figures = found['by_size']['all']
    assert figures == pytest.approx({
        'n': 5, 'mIoU': sum(ious) / 5, 'P@0.5': 2 / 5, 'boundary_mIoU': sum(ious) / 5,
        'precision': (10 / 40 + 1 + 0 + 4 / 5) / 4, 'recall': (1 + 1 + 0 + 0 + 1) / 5, 'empty': 1 / 5,
        'area_ratio': (40 + 30 + 0 + 4 + 5) / (10 + 30 + 4 + 4 + 4), 'with_siblings': 5, 'collapse': 1 / 5})
    # All parts are small, so that there is no other size.
    assert list(found['by_size']) == ['all', 'small']
    assert found['by_size']['small'] == figures
    assert {kind: row['all'] for kind, row in found['kinds'].items() if row['all']} == {
        'good': .4, 'empty': .2, 'whole object': .2, 'sibling part': .2}
    assert {fit: row['all'] for fit, row in found['fits'].items()} == {
        'both': .4, 'over-segmented': .2, 'under-segmented': 0, 'neither': .2, 'empty': .2}
    assert found['by_super_category']['bird']['collapse'] == pytest.approx(1 / 3)
    assert found['by_super_category']['car']['collapse'] == 0
    assert found['confusion']['bird']['head']['shares'] == {'body': .75, 'head': .25, 'tail': 0, 'background': 0}
    assert found['confusion']['car']['left mirror']['shares']['right mirror'] == 1
    assert found['left_right'] == {'expressions': 2, 'pairs': 2, 'own': .5, 'mirror': .5, 'tie': 0, 'both': 0}
    assert found['absent'] == {'expressions': 1, 'false_positives': 1, 'uncertain': 1}


def test_the_shares_add_up_and_good_is_precision_at_one_half(random_dump):
    found = summarise_diagnosis(diagnose(random_dump))
    scores = summarise(score_dump(random_dump))
    assert found['by_size']['all']['mIoU'] == scores['mIoU']
    assert found['by_size']['all']['P@0.5'] == scores['P@0.5'] == found['kinds']['good']['all']
    for table in (found['kinds'], found['fits']):
        assert sum(row['all'] for row in table.values()) == pytest.approx(1)
    assert sum(each['n'] for each in found['by_super_category'].values()) == found['by_size']['all']['n']
    for lines in found['confusion'].values():
        for line in lines.values():
            assert not line['shares'] or sum(line['shares'].values()) == pytest.approx(1)


@pytest.mark.parametrize('seed', range(3))
def test_order_does_not_matter(random_dump, seed):
    expected = summarise_diagnosis(diagnose(random_dump))
    mix = random.Random(seed)
    images = [replace(image, expressions=mix.sample(image.expressions, len(image.expressions)))
              for image in mix.sample(random_dump.images, len(random_dump.images))]
    found = summarise_diagnosis(diagnose(replace(random_dump, images=images)))
    assert found == expected
    assert list(found['by_super_category']) == list(expected['by_super_category'])
    assert format_diagnosis(found) == format_diagnosis(expected)


def test_expressions_dumped_one_by_one_are_siblings_all_the_same(random_dump):
    single = [replace(image, expressions=[each]) for image in random_dump.images for each in image.expressions]
    assert len(single) > len(random_dump.images)
    random.Random(0).shuffle(single)
    assert summarise_diagnosis(diagnose(replace(random_dump, images=single))) == summarise_diagnosis(
        diagnose(random_dump))


def test_predicting_the_whole_object_is_collapse(random_dump):
    images = []
    for image in random_dump.images:
        groups: dict[str, list[dict]] = {}
        for each in image.expressions:
            groups.setdefault(each.super_category, []).extend(each.truth)
        images.append(replace(image, expressions=[
            replace(each, pred=encode_masks(coco_mask.decode(groups[each.super_category]).any(2)[None])[0])
            for each in image.expressions]))
    figures = summarise_diagnosis(diagnose(replace(random_dump, images=images)))['by_size']['all']
    assert figures['with_siblings'] > 5
    assert figures['collapse'] == 1
    truth = [replace(image, expressions=[
        replace(each, pred=encode_masks(coco_mask.decode(each.truth).any(2)[None])[0]) for each in image.expressions
    ]) for image in random_dump.images]
    figures = summarise_diagnosis(diagnose(replace(random_dump, images=truth)))['by_size']['all']
    assert (figures['collapse'], figures['mIoU'], figures['boundary_mIoU'], figures['area_ratio']) == (0, 1, 1, 1)


@pytest.mark.parametrize(('pred', 'expected'), [
    ([(0, 10)], 'both'), ([(0, 5), (20, 25)], 'both'), ([(0, 5), (20, 26)], 'over-segmented'),
    ([(0, 4), (20, 24)], 'under-segmented'), ([(0, 4), (20, 25)], 'neither'), ([], 'empty')])
def test_failure_kind_of_a_mask(strip, pred, expected):
    assert expected in FITS
    assert fit_of(count_pixels(strip('head', [(0, 10)], pred), [])) == expected


def test_the_boundary_is_that_of_the_union(strip):
    # Two annotations side by side are one square: 20 x 20 pixels in an image of 100 x 100, whose band is 3 wide.
    masks = np.zeros((3, 100, 100), dtype=bool)
    masks[0, 40:60, 40:60] = masks[1, 40:60, 40:50] = masks[2, 40:60, 50:60] = True
    rles = encode_masks(masks)
    prediction = Prediction('1', 'bird foot', 'foot', 'bird', [1, 2], .5, rles[0], rles[1:])
    found = diagnose(PredictionDump({}, [ImagePredictions(1, '', (100, 100), [prediction])]))[0]
    assert (found.boundary.inter, found.boundary.union) == (204, 204)


def test_sizes_go_by_cocos_borders(strip):
    def square(side: int) -> Prediction:
        mask = np.zeros((1, 100, 100), dtype=bool)
        mask[0, :side, :side] = True
        rle = encode_masks(mask)[0]
        return Prediction(f'1:{side}', f'part {side}', str(side), 'thing', [side], .5, rle, [rle])

    dump = PredictionDump({}, [ImagePredictions(1, '', (100, 100), [square(31), square(32), square(96)])])
    found = summarise_diagnosis(diagnose(dump))
    assert {size: each['n'] for size, each in found['by_size'].items()} == {
        'all': 3, 'small': 1, 'medium': 1, 'large': 1}
    assert found['by_size']['large']['P@0.5'] == 1


def test_the_text(dump):
    text = format_diagnosis(summarise_diagnosis(diagnose(dump)))
    lines = [line.split() for line in text.splitlines()]
    assert 'P@0.5 counts IoU > 0.5; boundary band 2 %' in text
    assert ['good', '40.00', '40.00'] in lines
    assert not any(line[:1] == ['mislocalised'] for line in lines)
    assert 'collapse to the whole object: 20.00 of the 5 expressions whose object has other parts' in text
    assert '2 expressions contain left or right; the counterpart of 2 is in the image' in text
    assert ('the parts of 1 expressions are not in the image, of 1 more possibly not; 1 of the 1 have a mask (false '
            'positives)') in text
    assert '2 super-categories with one part or fewer than 20 expressions' in text


def test_the_text_of_a_small_dump(strip):
    one = PredictionDump({}, [ImagePredictions(1, '', (1, 60), [strip('head', [(0, 10)])])])
    summary = summarise_diagnosis(diagnose(one), strict=False)
    text = format_diagnosis(summary)
    assert 'P@0.5 counts IoU >= 0.5' in text
    assert 'no expression contains left or right' in text
    assert 'no image has more than one part of an object' in text
    assert 'the parts of all expressions are in their images' in text
    assert summary['by_size']['all']['precision'] is None
    nothing = PredictionDump({}, [ImagePredictions(1, '', (1, 60), [strip('head', [], absent='other')])])
    text = format_diagnosis(summarise_diagnosis(diagnose(nothing)))
    assert 'the parts of 1 expressions are not in the image; 0 of the 1 have' in text
    with pytest.raises(ValueError, match='contains no expression'):
        diagnose(PredictionDump({}, []))


def test_the_tool(run_tool, dump, tmp_path):
    files = [str(tmp_path / name) for name in ('dump.json', 'other.json', 'out.json')]
    dump.write(files[0])
    images = [replace(image, expressions=[replace(each, expression=f'the {each.expression}')
                                          for each in image.expressions]) for image in dump.images]
    replace(dump, images=images).write(files[1])
    shown = run_tool('diagnose', files[0], '--paraphrases', files[1], '--json', files[2], '--inclusive')
    assert shown.startswith('config cris.py\n\nP@0.5 counts IoU >= 0.5')
    assert 'paraphrases: 5 refs under 2 templates' in shown
    found = json.loads(Path(files[2]).read_text())
    paraphrases = found.pop('paraphrases')
    assert found == summarise_diagnosis(diagnose(read_dump(files[0])), strict=False)
    assert (paraphrases['agreement'], paraphrases['spread']) == (1, 0)


def test_errors_of_the_tool_are_one_sentence(run_tool, dump, tmp_path):
    dump.write(tmp_path / 'dump.json')
    with pytest.raises(SystemExit, match=r'all expressions of .* are the same'):
        run_tool('diagnose', tmp_path / 'dump.json', '--paraphrases', tmp_path / 'dump.json')
    with pytest.raises(SystemExit, match='there is no dump'):
        run_tool('diagnose', tmp_path / 'none.json')
