import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from mmpartref.evaluation.diagnosis.paraphrases import (
    ParaphraseDump,
    check_paraphrases,
    format_paraphrases,
    paraphrase_metrics,
)
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import ImagePredictions


@pytest.fixture
def worded(strip) -> Callable[..., ParaphraseDump]:
    """One wording of a head (0 to 9) and a tail (20 to 29), each in a separate image."""
    def make(file: str, template: str, head: list, tail: list) -> ParaphraseDump:
        predictions = [strip('head', [(0, 10)], head, ref_id='1:0', expression=template.format('head')),
                 strip('tail', [(20, 30)], tail, ref_id='2:1', expression=template.format('tail'))]
        return ParaphraseDump(file, PredictionDump({}, [ImagePredictions(number, '', (1, 60), [each])
                                                 for number, each in enumerate(predictions, 1)]))
    return make


@pytest.fixture
def wordings(worded) -> list[ParaphraseDump]:
    """IoU 1, 0.5, 0 of the head, 0.5, 0.5 and 0.75 of the tail."""
    return [worded('a.json', 'bird {}', [(0, 10)], [(20, 25)]),
            worded('b.json', '{} of the bird', [(0, 5)], [(25, 30)]),
            worded('c.json', 'a {}', [], [(20, 25), (27, 29), (28, 29), (29, 30), (40, 42)])]


def test_metrics_counted_by_hand(wordings):
    found = paraphrase_metrics(wordings)
    assert [(each['example'], each['mIoU']) for each in found['dumps']] == [
        ('bird head', pytest.approx(.75)), ('head of the bird', pytest.approx(.5)),
        ('a head', pytest.approx((0 + 8 / 12) / 2))]
    means = [.75, .5, 1 / 3]
    centre = sum(means) / 3
    assert found['mIoU_std'] == pytest.approx((sum((each - centre)**2 for each in means) / 3)**.5)
    assert found['spread'] == pytest.approx((1 + (8 / 12 - .5)) / 2)
    # The head passes 0.5 in one wording, the tail in one.
    assert found['flipped'] == 1
    assert paraphrase_metrics(wordings, strict=False)['flipped'] == .5
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
    found = paraphrase_metrics(pair)
    assert (found['agreement'], found['spread'], found['mIoU_std'], found['flipped']) == (1, 0, 0, 0)
    assert found['dumps'][0]['mIoU'] == 0


def test_the_order_of_images_does_not_matter(wordings):
    expected = paraphrase_metrics(wordings)
    mixed = [ParaphraseDump(each.file, replace(each.dump, images=random.Random(seed).sample(each.dump.images, 2)))
             for seed, each in enumerate(wordings)]
    assert paraphrase_metrics(mixed) == expected


def test_absent_parts_are_ignored(wordings, strip):
    absent = strip('wing', [], [(0, 3)], absent='other')
    first = wordings[0]
    more = replace(first.dump, images=[*first.dump.images, ImagePredictions(3, '', (1, 60), [absent])])
    assert paraphrase_metrics([ParaphraseDump('a.json', more), *wordings[1:]]) == paraphrase_metrics(wordings)
    with pytest.raises(ValueError, match='are the same'):
        check_paraphrases([first, ParaphraseDump('d.json', more)])


def test_dumps_that_are_no_paraphrases_are_rejected(wordings):
    with pytest.raises(ValueError, match='at least two dumps'):
        check_paraphrases(wordings[:1])
    with pytest.raises(ValueError, match=r'all expressions of a\.json and d\.json are the same; .* template'):
        check_paraphrases([*wordings, replace(wordings[0], file='d.json')])
    short = replace(wordings[1].dump, images=wordings[1].dump.images[:1])
    with pytest.raises(ValueError, match=r'b\.json lacks 1 refs of a\.json .* e\.g\. 2:1'):
        check_paraphrases([wordings[0], ParaphraseDump('b.json', short)])


def test_one_ref_may_have_the_same_words(wordings):
    image = wordings[0].dump.images[0]
    other = wordings[1].dump
    # Does not raise.
    check_paraphrases([wordings[0], ParaphraseDump('b.json', replace(other, images=[image, other.images[1]]))])


def test_the_table(wordings):
    text = format_paraphrases(paraphrase_metrics(wordings))
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith('paraphrases: 2 refs under 3 templates\n')
    assert ['1', 'a.json', "'bird", "head'", '75.00'] in lines
    assert ['1', 'and', '2', '25.00'] in lines
    assert any(line[0] == '1:0' and line[-1] == '0.00' and "'bird" in line for line in lines if line)
