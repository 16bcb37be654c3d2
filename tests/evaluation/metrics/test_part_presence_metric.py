import pytest

from mmpartref.evaluation import PartPresenceMetric

TRUTH = [{'a': True, 'b': False, 'c': True}, {'a': False, 'b': False, 'c': True}, {'a': True, 'c': True}]
SAID = [{'a': .9, 'b': .1, 'c': .5}, {'a': .8, 'b': .2, 'c': .5}, {'a': .3, 'b': .9, 'c': .5}]


def score(truth: list[dict], said: list[dict]) -> dict:
    metric = PartPresenceMetric()
    for one, other in zip(truth, said, strict=True):
        metric.process({}, [{'part_presence': one, 'pred_part_presence': other}])
    assert len(metric.results) == len(truth)
    return metric.evaluate(len(truth))


def test_mean_average_precision_by_hand():
    """Label a: ranks 1 and 3 of 3 are right, (1 + 2/3) / 2. b is in no photo, c in all of them."""
    found = score(TRUTH, SAID)
    assert found == {'photo/mAP': pytest.approx(5 / 6), 'photo/prevalence': pytest.approx(2 / 3), 'photo/labels': 1,
                     'photo/photos': 3}
    assert score(TRUTH[::-1], SAID[::-1]) == pytest.approx(found)


def test_a_label_counts_where_its_truth_is_known():
    found = score([*TRUTH, {'b': True}], [*SAID, {'a': 1., 'b': .15}])
    # b is ranked among the three photos that know of it: .2 wrong, .15 right.
    assert found['photo/mAP'] == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert found['photo/labels'] == 2


def test_what_cannot_be_scored_is_said():
    with pytest.raises(ValueError, match=r"without pred_part_presence; set model.auxiliary_head="):
        PartPresenceMetric().process({}, [{'part_presence': {}}])
    with pytest.raises(ValueError, match='without part_presence; set photo_labels=True'):
        PartPresenceMetric().process({}, [{'pred_part_presence': {}}])
    with pytest.raises(ValueError, match='no part label is there in some photos and absent from others'):
        score([{'a': True}], [{'a': .5}])
