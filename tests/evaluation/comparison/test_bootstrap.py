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
    """``images``: (intersection, union) of each expression of each image; the true mask is the union."""
    return [
        Row(img_id, f'{img_id}:{number}', 'the tire', 'tire', 'car',
            ExpressionScore(Overlap(*pair), pair[0], pair[1], (Overlap(*pair), )))
        for img_id, pairs in enumerate(images) for number, pair in enumerate(pairs)
    ]


@pytest.fixture
def rows() -> list[Row]:
    rng = np.random.default_rng(5)
    unions = [rng.integers(1, 20_000, size=size) for size in rng.integers(1, 6, size=40)]
    return rows_of([[(int(rng.integers(0, union + 1)), int(union)) for union in each] for each in unions])


def test_every_draw_is_the_summary_of_the_images_drawn(rows):
    drawn = resample([rows], resamples=20, seed=3)
    weights = draw_weights(np.random.default_rng(3), 20, 40)
    assert set(weights.sum(axis=1)) == {40}
    for number, line in enumerate(weights):
        repeated = [row for row in rows for _ in range(int(line[int(row.img_id)]))]
        expected = summarise(repeated)
        assert drawn.values[number, 0] == pytest.approx([expected[name] for name in BOOTSTRAP_METRICS], abs=1e-9)


def test_a_size_without_masks_in_a_draw_has_no_mean_there():
    # Of two images one has a small mask: a quarter of the draws have the other image twice.
    drawn = resample([rows_of([[(5, 10)], [(5000, 10_000)]])], resamples=200)
    small = drawn.of(0, 'mIoU_small')
    assert 20 < np.isnan(small).sum() < 80
    assert set(small[~np.isnan(small)]) == {0.5}
    assert drawn.interval(0, 'mIoU_small') == (0.5, 0.5)
    assert np.isnan(drawn.interval(0, 'mIoU_medium')).all()
    both = resample([rows_of([[(5, 10)]] * 2), rows_of([[(4, 10)]] * 2)], resamples=20)
    with pytest.raises(ValueError, match='no draw of the images has a mask for mIoU_large'):
        paired_differences(both, [0.5, 0.4], 'mIoU_large')


def test_a_draw_of_a_model_is_the_mean_of_runs_drawn(rows):
    runs = [rows_of([[(value, 10)]]) for value in (2, 4, 9)]
    drawn = resample([*runs, runs[0]], runs=[3, 1], resamples=2000).of(0, 'mIoU')
    # Deviations from the mean of all runs, scaled for the variance of a sample of 3.
    possible = {round(0.5 + 1.5**0.5 * ((a + b + c) / 30 - 0.5), 6) for a in (2, 4, 9) for b in (2, 4, 9)
                for c in (2, 4, 9)}
    assert set(np.round(drawn, 6)) == possible
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    # The standard error of a mean of 3.
    assert drawn.std() == pytest.approx(np.std([0.2, 0.4, 0.9], ddof=1) / 3**0.5, rel=0.05)


def test_images_are_drawn_alike_whatever_the_number_of_runs(rows):
    once = resample([rows], resamples=30)
    assert np.allclose(resample([rows, rows], runs=[2], resamples=30).values, once.values)
    assert once.runs == (1, )
    assert 'runs' not in once.method()
    assert "over each model's runs (2)" in resample([rows, rows], runs=[2], resamples=3).method()


def test_runs_widen_the_interval_of_a_difference():
    spread = [rows_of([[(value, 100)] for _ in range(20)]) for value in (40, 50, 60, 45, 55, 65)]
    one = paired_differences(resample([spread[1], spread[4]], resamples=300), [0.5, 0.55], 'mIoU')[0]
    three = paired_differences(resample(spread, runs=[3, 3], resamples=300), [0.5, 0.55], 'mIoU')[0]
    assert (one.low, one.high) == pytest.approx((-0.05, -0.05))
    assert one.detectable == pytest.approx(0)
    assert three.low < -0.1 < 0 < three.high
    # The standard error of each mean is that of three runs.
    assert three.detectable == pytest.approx(2.8 * np.std([0.4, 0.5, 0.6], ddof=1) * (2 / 3)**0.5, rel=0.1)


def test_one_image_has_no_significance():
    with pytest.raises(ValueError, match='a difference on one image has no significance'):
        paired_differences(resample([rows_of([[(5, 10)]]), rows_of([[(4, 10)]])], resamples=20), [0.5, 0.4], 'mIoU')


@pytest.mark.slow
def test_equal_models_of_few_runs_are_rarely_different():
    """By simulation: runs that vary, of models that are equal, on images that vary."""
    rng = np.random.default_rng(2)
    rejected = 0
    for seed in range(60):
        ease = rng.uniform(300, 700, size=40)
        runs = [rows_of([[(int(np.clip(each, 0, 1000)), 1000)] for each in ease + rng.normal(0, 30)
                         + rng.normal(0, 60, size=40)]) for _ in range(6)]
        drawn = resample(runs, runs=[3, 3], resamples=200, seed=seed)
        values = [float(np.mean([summarise(rows)['mIoU'] for rows in each])) for each in (runs[:3], runs[3:])]
        rejected += paired_differences(drawn, values, 'mIoU')[0].p <= 0.05
    # Three runs are few: somewhat more often than in 5 % of the cases.
    assert rejected <= 60 * 0.2


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
    with pytest.raises(ValueError, match=r'runs=\[2\] are 2 runs but there are 3 in models'):
        resample([rows] * 3, runs=[2])
    with pytest.raises(ValueError, match='resamples=0 must be at least 1'):
        resample([rows], resamples=0)
