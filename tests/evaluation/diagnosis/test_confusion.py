import pytest

from mmpartref.evaluation.diagnosis.confusion import (
    MAX_CONFUSIONS,
    MIN_CONFUSED_MASKS,
    ConfusionRow,
    confusion,
    format_confusion,
    format_largest_confusions,
    largest_confusions,
)
from mmpartref.evaluation.diagnosis.pixel_breakdown import count_pixels


@pytest.fixture
def breakdowns(strip) -> list:
    """Head and body in two images, a fish in the second."""
    def pixels(prediction, *siblings):
        return prediction.super_category, prediction.part, count_pixels(prediction, siblings)

    first = [strip('head', [(0, 10)], [(0, 10), (10, 20)]), strip('body', [(10, 30)], [(40, 50)])]
    second = [strip('head', [(0, 4)], [(0, 1), (10, 13), (50, 60)]), strip('body', [(10, 30)], [])]
    # The fish is where the bird was predicted; that is background to the bird.
    fish = strip('tail', [(50, 60)], [(50, 52)], owner='fish')
    absent = strip('wing', [], [(0, 5)], absent='other')
    return [pixels(first[0], first[1]), pixels(first[1], first[0]), pixels(second[0], second[1], absent),
            pixels(second[1], second[0], absent), pixels(fish), pixels(absent, *second)]


def test_shares_counted_by_hand(breakdowns):
    found = confusion(breakdowns)
    assert list(found) == ['bird', 'fish']
    assert list(found['bird']) == ['body', 'head']
    head, body = found['bird']['head'], found['bird']['body']
    assert (head.expressions, head.empty) == (2, 0)
    # 10 of 20 and 1 of 14 on the head, 10 and 3 on the body, 0 and 10 on background.
    assert head.shares == {
        'body': pytest.approx((10 / 20 + 3 / 14) / 2),
        'head': pytest.approx((10 / 20 + 1 / 14) / 2),
        'background': pytest.approx((0 + 10 / 14) / 2)
    }
    assert sum(head.shares.values()) == pytest.approx(1)
    # One of the two masks is empty; the other is on background.
    assert body == ConfusionRow(2, 1, {'body': 0, 'head': 0, 'background': 1})
    assert found['fish']['tail'] == ConfusionRow(1, 0, {'tail': 1, 'background': 0})


def test_the_order_does_not_matter(breakdowns):
    assert confusion(breakdowns[::-1]) == confusion(breakdowns)


def test_other_instances_count_as_the_part(strip):
    prediction = strip('foot', [(0, 10)], [(0, 5), (50, 55)])
    found = confusion([('bird', 'foot', count_pixels(prediction, [strip('foot', [(50, 60)])]))])
    assert found['bird']['foot'].shares == {'foot': 1, 'background': 0}


def test_masks_that_were_all_empty_have_no_shares(strip):
    found = confusion([('bird', 'foot', count_pixels(strip('foot', [(0, 10)]), []))])
    assert found['bird']['foot'] == ConfusionRow(1, 1, {})
    assert format_confusion('bird', found['bird']).splitlines()[1].split() == ['foot', '1', '1', '-', '-']


def test_the_matrix_to_read(breakdowns):
    lines = format_confusion('bird', confusion(breakdowns)['bird']).splitlines()
    assert [line.split() for line in lines] == [['bird', 'n', 'empty', 'body', 'head', 'background'],
                                                ['body', '2', '1', '.', '.', '100'],
                                                ['head', '2', '0', '36', '29', '36']]
    assert len({len(line) for line in lines}) == 1


def test_many_parts_are_numbered():
    lines = {name: ConfusionRow(1, 0, {**dict.fromkeys('abcdefghijk', 0.), name: 1., 'background': 0.})
             for name in 'abcdefghijk'}
    shown = format_confusion('car', lines).splitlines()
    assert shown[0].split() == ['car', 'n', 'empty', *map(str, range(1, 12)), 'background']
    assert shown[1].split()[:6] == ['1', 'a', '1', '0', '100', '.']
    assert shown[1].index('1 a') == shown[11].index('11 k') + 1


def test_largest_confusions():
    enough, few = MIN_CONFUSED_MASKS + 1, MIN_CONFUSED_MASKS
    matrices = {'bird': {
        'head': ConfusionRow(enough, 1, {'head': .2, 'body': .5, 'tail': .1, 'background': .2}),
        'body': ConfusionRow(enough, 2, {'head': 1., 'body': 0., 'tail': 0., 'background': 0.}),
        'tail': ConfusionRow(enough, 0, {'head': 0., 'body': .5, 'tail': .5, 'background': 0.})}}
    assert largest_confusions(matrices) == [('bird head', 'body', .5, few), ('bird tail', 'body', .5, enough),
                                              ('bird head', 'tail', .1, few)]
    assert format_largest_confusions(matrices).splitlines()[1].split() == ['bird', 'head', 'body', '50.00', str(few)]
    assert format_largest_confusions({'bird': {'body': matrices['bird']['body']}}) == ''
    many = {'x': {'p': ConfusionRow(enough, 0, {f'q{number}': .01 for number in range(30)})}}
    assert len(largest_confusions(many)) == MAX_CONFUSIONS
