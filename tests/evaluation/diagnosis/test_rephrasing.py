import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from mmpartref.evaluation.diagnosis.rephrasing import Wording, check_wordings, format_rephrasing, rephrasing_figures
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import PhotoPredictions


@pytest.fixture
def worded(strip) -> Callable[..., Wording]:
    """One wording of a head (0 to 9) and a tail (20 to 29), each in a photo of its own."""
    def make(file: str, template: str, head: list, tail: list) -> Wording:
        asked = [strip('head', [(0, 10)], head, ref_id='1:0', expression=template.format('head')),
                 strip('tail', [(20, 30)], tail, ref_id='2:1', expression=template.format('tail'))]
        return Wording(file, PredictionDump({}, [PhotoPredictions(number, '', (1, 60), [each])
                                                 for number, each in enumerate(asked, 1)]))
    return make


@pytest.fixture
def wordings(worded) -> list[Wording]:
    """IoU 1, 0.5, 0 of the head, 0.5, 0.5 and 0.75 of the tail."""
    return [worded('a.json', 'bird {}', [(0, 10)], [(20, 25)]),
            worded('b.json', '{} of the bird', [(0, 5)], [(25, 30)]),
            worded('c.json', 'a {}', [], [(20, 25), (27, 29), (28, 29), (29, 30), (40, 42)])]


def test_figures_counted_by_hand(wordings):
    found = rephrasing_figures(wordings)
    assert [(each['example'], each['mIoU']) for each in found['wordings']] == [
        ('bird head', pytest.approx(.75)), ('head of the bird', pytest.approx(.5)),
        ('a head', pytest.approx((0 + 8 / 12) / 2))]
    means = [.75, .5, 1 / 3]
    centre = sum(means) / 3
    assert found['mIoU_std'] == pytest.approx((sum((each - centre)**2 for each in means) / 3)**.5)
    assert found['spread'] == pytest.approx((1 + (8 / 12 - .5)) / 2)
    # The head passes 0.5 in one wording, the tail in one.
    assert found['flipped'] == 1
    assert rephrasing_figures(wordings, strict=False)['flipped'] == .5
    # Heads: 5 of 10, nothing of 10, nothing of 5; tails: apart, 5 of 10, 3 of 12.
    assert [pair['agreement'] for pair in found['pairs']] == pytest.approx([(.5 + 0) / 2, (0 + .5) / 2, (0 + .25) / 2])
    assert found['agreement'] == pytest.approx((.25 + .25 + .125) / 3)
    assert [(pair['first'], pair['second']) for pair in found['pairs']] == [
        ('a.json', 'b.json'), ('a.json', 'c.json'), ('b.json', 'c.json')]
    assert [each['ref_id'] for each in found['worst']] == ['1:0', '2:1']
    assert found['worst'][0] == {'ref_id': '1:0', 'spread': 1,
                                 'iou': {'bird head': 1, 'head of the bird': .5, 'a head': 0}}


def test_masks_may_agree_and_be_wrong(worded):
    pair = [worded('a', 'bird {}', [], [(50, 60)]), worded('b', 'a {}', [], [(50, 60)])]
    found = rephrasing_figures(pair)
    assert (found['agreement'], found['spread'], found['mIoU_std'], found['flipped']) == (1, 0, 0, 0)
    assert found['wordings'][0]['mIoU'] == 0


def test_the_order_of_photos_does_not_change_a_digit(wordings):
    expected = rephrasing_figures(wordings)
    mixed = [Wording(each.file, replace(each.dump, photos=random.Random(seed).sample(each.dump.photos, 2)))
             for seed, each in enumerate(wordings)]
    assert rephrasing_figures(mixed) == expected


def test_parts_that_are_not_there_are_left_out(wordings, strip):
    absent = strip('wing', [], [(0, 3)], absent='other')
    first = wordings[0]
    more = replace(first.dump, photos=[*first.dump.photos, PhotoPredictions(3, '', (1, 60), [absent])])
    assert rephrasing_figures([Wording('a.json', more), *wordings[1:]]) == rephrasing_figures(wordings)
    with pytest.raises(ValueError, match='the same words'):
        check_wordings([first, Wording('d.json', more)])


def test_what_is_no_rephrasing_is_refused(wordings):
    with pytest.raises(ValueError, match='at least two dumps'):
        check_wordings(wordings[:1])
    with pytest.raises(ValueError, match=r'a\.json and d\.json ask for every ref in the same words; .* template'):
        check_wordings([*wordings, replace(wordings[0], file='d.json')])
    short = replace(wordings[1].dump, photos=wordings[1].dump.photos[:1])
    with pytest.raises(ValueError, match=r'b\.json lacks 1 refs of a\.json .* e\.g\. 2:1'):
        check_wordings([wordings[0], Wording('b.json', short)])


def test_one_ref_may_keep_its_words(wordings):
    photo = wordings[0].dump.photos[0]
    other = wordings[1].dump
    # Does not raise.
    check_wordings([wordings[0], Wording('b.json', replace(other, photos=[photo, other.photos[1]]))])


def test_the_table(wordings):
    text = format_rephrasing(rephrasing_figures(wordings))
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith('rephrasing: 2 refs in 3 wordings\n')
    assert ['1', 'a.json', "'bird", "head'", '75.00'] in lines
    assert ['1', 'and', '2', '25.00'] in lines
    assert any(line[0] == '1:0' and line[-1] == '0.00' and "'bird" in line for line in lines if line)
