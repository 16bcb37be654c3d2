import pytest

from mmpartref.evaluation import PartPresenceMetric

TRUTH = [{'a': True, 'b': False, 'c': True}, {'a': False, 'b': False, 'c': True}, {'a': True, 'c': True}]
PREDICTED = [{'a': .9, 'b': .1, 'c': .5}, {'a': .8, 'b': .2, 'c': .5}, {'a': .3, 'b': .9, 'c': .5}]


def score(truth: list[dict], predicted: list[dict]) -> dict:
    metric = PartPresenceMetric()
    for one, other in zip(truth, predicted, strict=True):
        metric.process({}, [{'part_presence': one, 'pred_part_presence': other}])
    assert len(metric.results) == len(truth)
    return metric.evaluate(len(truth))


def test_mean_average_precision_by_hand():
    """Label a: ranks 1 and 3 of 3 are right, (1 + 2/3) / 2. b is in no image, c in all of them."""
    found = score(TRUTH, PREDICTED)
    assert found == {'image/mAP': pytest.approx(5 / 6), 'image/prevalence': pytest.approx(2 / 3), 'image/labels': 1,
                     'image/images': 3}
    assert score(TRUTH[::-1], PREDICTED[::-1]) == pytest.approx(found)


def test_a_label_counts_where_its_truth_is_known():
    found = score([*TRUTH, {'b': True}], [*PREDICTED, {'a': 1., 'b': .15}])
    # b is ranked among the three images with a truth for it: .2 wrong, .15 right.
    assert found['image/mAP'] == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert found['image/labels'] == 2


def test_images_that_could_not_be_read_are_skipped_and_counted():
    metric = PartPresenceMetric()
    for truth, predicted in zip(TRUTH, PREDICTED, strict=True):
        metric.process({}, [{'part_presence': truth, 'pred_part_presence': predicted}])
    skipped = {'img_path': 'a.jpg', 'expressions': ['x', 'y'], 'skipped': 'a.jpg is truncated'}
    metric.process({}, [skipped])
    found = metric.evaluate(4)
    assert found['image/mAP'] == pytest.approx(5 / 6)
    assert {key: found[f'image/{key}'] for key in ('images', 'skipped_images', 'skipped_expressions')} == {
        'images': 3, 'skipped_images': 1, 'skipped_expressions': 2}
    metric.process({}, [skipped])
    with pytest.raises(ValueError, match=r'no image was scored: .*a\.jpg is truncated'):
        metric.evaluate(1)


def test_samples_that_cannot_be_scored_are_rejected():
    with pytest.raises(ValueError, match=r"has no pred_part_presence; set model.auxiliary_head="):
        PartPresenceMetric().process({}, [{'part_presence': {}}])
    with pytest.raises(ValueError, match='has no part_presence; set entries=dict'):
        PartPresenceMetric().process({}, [{'pred_part_presence': {}}])
    with pytest.raises(ValueError, match='each part label is present in all images or in none'):
        score([{'a': True}], [{'a': .5}])
