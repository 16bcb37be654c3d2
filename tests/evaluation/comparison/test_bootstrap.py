import numpy as np
import pytest

from mmpartref.evaluation.comparison.bootstrap import (
    BOOTSTRAP_METRICS,
    draw_weights,
    holm_correction,
    paired_differences,
    percentile_interval,
    resample,
    two_sided_p,
)
from mmpartref.evaluation.scoring.iou_metrics import Row, summarise
from mmpartref.masks.iou import ExpressionScore, Overlap


def rows_of(images: list[list[tuple[int, int]]]) -> list[Row]:
    """``images``: (intersection, union) of each expression of each image."""
    return [
        Row(img_id, f'{img_id}:{number}', 'the tire', 'tire', 'car',
            ExpressionScore(Overlap(*pair), pair[0], pair[1], (Overlap(*pair), )))
        for img_id, pairs in enumerate(images) for number, pair in enumerate(pairs)
    ]


@pytest.fixture
def rows() -> list[Row]:
    rng = np.random.default_rng(5)
    unions = [rng.integers(1, 1000, size=size) for size in rng.integers(1, 6, size=40)]
    return rows_of([[(int(rng.integers(0, union + 1)), int(union)) for union in each] for each in unions])


def test_every_draw_is_the_summary_of_the_images_drawn(rows):
    drawn = resample([rows], resamples=20, seed=3)
    weights = draw_weights(np.random.default_rng(3), 20, 40)
    assert set(weights.sum(axis=1)) == {40}
    for number, line in enumerate(weights):
        repeated = [row for row in rows for _ in range(int(line[int(row.img_id)]))]
        expected = summarise(repeated)
        assert drawn.values[number, 0] == pytest.approx([expected[name] for name in BOOTSTRAP_METRICS], abs=1e-9)


def test_images_are_drawn_not_expressions():
    # One image: every draw is that image, so the interval has no width though its expressions differ.
    drawn = resample([rows_of([[(0, 10), (5, 10), (10, 10)]])], resamples=50)
    assert drawn.interval(0, 'mIoU') == (0.5, 0.5)


def test_the_order_of_expressions_does_not_matter(rows):
    order = np.random.default_rng(0).permutation(len(rows))
    assert np.array_equal(resample([rows], resamples=30).values,
                          resample([[rows[index] for index in order]], resamples=30).values)


def test_more_draws_than_fit_at_once_are_those_of_one_piece(rows, monkeypatch):
    whole = resample([rows], resamples=30).values
    monkeypatch.setattr('mmpartref.evaluation.comparison.bootstrap.CHUNK', 40 * 7)
    assert np.array_equal(resample([rows], resamples=30).values, whole)


def test_the_interval_has_its_coverage():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(100):
        images = [[(int(inter), 1000)] for inter in rng.integers(0, 1001, size=60)]
        low, high = resample([rows_of(images)], resamples=200, seed=seed).interval(0, 'mIoU')
        covered += low <= 0.5 <= high
    # Binomial(100, .95) leaves 87 to 100 once in a thousand.
    assert 87 <= covered <= 100


def test_a_model_against_itself_is_no_difference(rows):
    drawn = resample([rows, rows], resamples=50)
    (pair, ) = paired_differences(drawn, [0.4, 0.4], 'cIoU')
    assert (pair.difference, pair.low, pair.high, pair.p, pair.p_holm) == (0, 0, 0, 1, None)


def test_a_small_but_steady_gain_is_significant_because_draws_are_paired(rows):
    better = [[(min(inter + 1, 1000), 1000)] for inter in range(0, 1000, 25)]
    worse = [[(inter, 1000)] for inter in range(0, 1000, 25)]
    drawn = resample([rows_of(better), rows_of(worse)], resamples=200)
    (pair, ) = paired_differences(drawn, [0.001, 0.0], 'mIoU')
    assert pair.p == pytest.approx(1 / 201)
    # Their separate intervals overlap nearly whole.
    assert drawn.interval(0, 'mIoU')[0] < drawn.interval(1, 'mIoU')[1]


def test_p_values_by_hand():
    assert two_sided_p(np.array([1.0, 2, 3, -1])) == 0.5
    assert two_sided_p(np.array([1.0, 2, 3, 4])) == 0.2
    assert two_sided_p(np.zeros(4)) == 1
    # Holm 1979: smallest times 3, next times 2, never below an earlier one.
    assert holm_correction([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm_correction([0.9, 0.8]) == [1, 1]
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25, 975))


def test_dumps_that_cannot_be_paired_are_rejected(rows):
    with pytest.raises(ValueError, match='same images'):
        resample([rows, [row for row in rows if row.img_id != 7]])
    with pytest.raises(ValueError, match='at least one'):
        resample([[]])
    with pytest.raises(ValueError, match='resamples=0 must be at least 1'):
        resample([rows], resamples=0)
