"""Functions of the evaluation reject wrong arguments with one sentence, and take what users expect to work."""
import os
from types import SimpleNamespace

import numpy as np
import pytest

from mmpartref.errors import MMPartRefError
from mmpartref.evaluation.baselines.decode_ceiling import ceiling_metrics
from mmpartref.evaluation.baselines.reference_points import reference_dump
from mmpartref.evaluation.comparison.bootstrap import holm_correction, paired_differences, resample
from mmpartref.evaluation.comparison.compare_dumps import read_comparison
from mmpartref.evaluation.comparison.comparison_plots import draw_plots
from mmpartref.evaluation.comparison.comparison_tables import (
    breakdown_list,
    breakdown_tables,
    main_table,
    significance_table,
)
from mmpartref.evaluation.diagnosis.diagnose import diagnose, summarise_diagnosis
from mmpartref.evaluation.diagnosis.paraphrases import check_paraphrases
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.dumps.match_dumps import truth_by_ref
from mmpartref.evaluation.dumps.predictions import ImagePredictions
from mmpartref.evaluation.metrics.part_presence_metric import PartPresenceMetric
from mmpartref.evaluation.metrics.referring_dump import ReferringDump
from mmpartref.evaluation.metrics.referring_seg_metric import ReferringSegMetric
from mmpartref.evaluation.scoring.iou_metrics import format_table, summarise
from mmpartref.evaluation.scoring.presence import summarise_presence
from mmpartref.evaluation.scoring.presence_threshold import calibrate
from mmpartref.evaluation.scoring.score_dump import score_absent_parts, score_dump
from mmpartref.evaluation.scoring.threshold_sweep import dump_at, sweep

WRONG = (None, True, 5, -1, 1.5, float('nan'), 'zz', '', b'ab', {'a': 1}, {1}, object(), len, np.array(3), np.arange(3),
         [1], ['a', 'b'], ...)


@pytest.fixture
def made(strip, tmp_path):
    """A dump of one image with two expressions, its file, rows, comparison and resamples."""
    expressions = [strip('head', [(0, 20)], [(0, 15)]), strip('wing', [(30, 50)], [(35, 50)])]
    dump = PredictionDump({'name': 'model'}, [ImagePredictions(1, 'a.jpg', (1, 60), expressions)])
    path = tmp_path / 'dump.json'
    dump.write(path)
    rows = score_dump(dump)
    return SimpleNamespace(dump=dump, path=path, rows=rows, comparison=read_comparison([path]),
                           resamples=resample([rows], resamples=10))


# Takes the objects of ``made`` and a wrong value. Some wrong values of one argument are right ones of another.
CALLS = {
    'read_dump': lambda made, wrong: read_dump(wrong),
    'write': lambda made, wrong: made.dump.write(wrong),
    'read_comparison': lambda made, wrong: read_comparison(wrong),
    'read_comparison path': lambda made, wrong: read_comparison([wrong]),
    'read_comparison names': lambda made, wrong: read_comparison([made.path], names=wrong),
    'read_comparison strict': lambda made, wrong: read_comparison([made.path], strict=wrong),
    'draw_plots comparison': lambda made, wrong: draw_plots(wrong, made.resamples, made.path.parent),
    'draw_plots resamples': lambda made, wrong: draw_plots(made.comparison, wrong, made.path.parent),
    'draw_plots folder': lambda made, wrong: draw_plots(made.comparison, made.resamples, wrong),
    'main_table': lambda made, wrong: main_table(wrong, made.resamples),
    'main_table resamples': lambda made, wrong: main_table(made.comparison, wrong),
    'significance_table': lambda made, wrong: significance_table(wrong, made.resamples),
    'breakdown_tables': lambda made, wrong: breakdown_tables(wrong),
    'breakdown_list': lambda made, wrong: breakdown_list(wrong),
    'resample': lambda made, wrong: resample(wrong),
    'resample model': lambda made, wrong: resample([wrong]),
    'resample resamples': lambda made, wrong: resample([made.rows], resamples=wrong),
    'resample seed': lambda made, wrong: resample([made.rows], resamples=2, seed=wrong),
    'resample strict': lambda made, wrong: resample([made.rows], resamples=2, strict=wrong),
    'Resamples model': lambda made, wrong: made.resamples.of(wrong, 'mIoU'),
    'Resamples metric': lambda made, wrong: made.resamples.interval(0, wrong),
    'holm_correction': lambda made, wrong: holm_correction(wrong),
    'paired_differences': lambda made, wrong: paired_differences(wrong, [0.5], 'mIoU'),
    'paired_differences values': lambda made, wrong: paired_differences(made.resamples, wrong, 'mIoU'),
    'paired_differences metric': lambda made, wrong: paired_differences(made.resamples, [0.5], wrong),
    'score_dump': lambda made, wrong: score_dump(wrong),
    'score_absent_parts': lambda made, wrong: score_absent_parts(wrong),
    'truth_by_ref': lambda made, wrong: truth_by_ref(wrong, 'file'),
    'summarise': lambda made, wrong: summarise(wrong),
    'summarise thresholds': lambda made, wrong: summarise(made.rows, precision_thresholds=wrong),
    'summarise strict': lambda made, wrong: summarise(made.rows, strict=wrong),
    'summarise empty': lambda made, wrong: summarise(made.rows, empty=wrong),
    'format_table': lambda made, wrong: format_table(wrong),
    'summarise_presence': lambda made, wrong: summarise_presence(wrong),
    'ceiling_metrics': lambda made, wrong: ceiling_metrics(wrong, made.rows),
    'ceiling_metrics ceiling': lambda made, wrong: ceiling_metrics(made.rows, wrong),
    'calibrate': lambda made, wrong: calibrate(wrong),
    'calibrate criterion': lambda made, wrong: calibrate(made.rows, wrong),
    'sweep': lambda made, wrong: sweep(wrong),
    'sweep thresholds': lambda made, wrong: sweep(made.dump, wrong),
    'sweep rule': lambda made, wrong: sweep(made.dump, rule=wrong),
    'dump_at': lambda made, wrong: dump_at(made.dump, wrong),
    'diagnose': lambda made, wrong: diagnose(wrong),
    'summarise_diagnosis': lambda made, wrong: summarise_diagnosis(wrong),
    'check_paraphrases': lambda made, wrong: check_paraphrases(wrong),
    'reference_dump': lambda made, wrong: reference_dump(wrong, None),
    'reference_dump config': lambda made, wrong: reference_dump('mean-mask', wrong),
    'metric thresholds': lambda made, wrong: ReferringSegMetric(precision_thresholds=wrong),
    'metric strict': lambda made, wrong: ReferringSegMetric(strict=wrong),
    'metric empty': lambda made, wrong: ReferringSegMetric(empty=wrong),
    'metric presence_threshold': lambda made, wrong: ReferringSegMetric(presence_threshold=wrong),
    'metric protocol': lambda made, wrong: ReferringSegMetric(protocol=wrong),
    'metric protocol name': lambda made, wrong: ReferringSegMetric(protocol={'name': wrong}),
    'metric collect_device': lambda made, wrong: ReferringSegMetric(collect_device=wrong),
    'metric prefix': lambda made, wrong: ReferringSegMetric(prefix=wrong),
    'metric sample': lambda made, wrong: ReferringSegMetric().process(None, [wrong]),
    'presence metric prefix': lambda made, wrong: PartPresenceMetric(prefix=wrong),
    'dump metric out_file': lambda made, wrong: ReferringDump(out_file=wrong),
    'dump metric header': lambda made, wrong: ReferringDump(out_file=made.path.with_name('new.json'), header=wrong),
}
# Values of the list that are right ones.
RIGHT = {
    'strict': [True], 'prefix': [None, 'zz', ''], 'names': [None], 'seed': [5], 'resamples': [5], 'model': [],
    'thresholds': [[1]], 'holm_correction': [[1]], 'presence_threshold': [None], 'protocol': [None],
    'header': [None, {'a': 1}], 'write': ['zz'], 'folder': ['zz', ''], 'out_file': ['zz'], 'values': [[1]],
}


@pytest.mark.parametrize('name', CALLS)
def test_wrong_arguments_raise_one_sentence(name, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in WRONG:
        if any(wrong is right or (type(wrong) is type(right) and not isinstance(wrong, np.ndarray) and wrong == right)
               for right in RIGHT.get(name.split()[-1], ())):
            continue
        with pytest.raises(MMPartRefError) as caught:
            CALLS[name](made, wrong)
        assert len(str(caught.value).splitlines()) == 1, wrong
        os.fstat(1)  # no file descriptor was closed


def test_numpy_numbers_tuples_and_paths_are_right(made):
    for paths in ((made.path, ), [str(made.path)]):
        assert read_comparison(paths, names=('a', ), strict=np.True_).entries[0].name == 'a'
    drawn = resample((tuple(made.rows), ), resamples=np.int64(10), seed=np.int32(0))
    assert np.array_equal(drawn.values, made.resamples.values, equal_nan=True)
    assert drawn.interval(np.int64(0), 'mIoU') == made.resamples.interval(0, 'mIoU')
    assert holm_correction(np.array([0.04, 0.01])) == [0.04, 0.02]
    expected = summarise(made.rows, precision_thresholds=[0.5])
    assert summarise(tuple(made.rows), precision_thresholds=np.array([0.5]), strict=np.True_) == expected
    metric = ReferringSegMetric(precision_thresholds=np.array([0.5]), presence_threshold=np.float32(0.5))
    assert (metric.precision_thresholds, metric.presence_threshold) == ((0.5, ), 0.5)
    assert ReferringDump(out_file=made.path).out_file == str(made.path)


def test_resamples_of_other_models_are_rejected(made):
    other = resample([made.rows, made.rows], resamples=2)
    for call in (lambda: main_table(made.comparison, other), lambda: paired_differences(other, [0.5], 'mIoU')):
        with pytest.raises(MMPartRefError, match='the resamples are of 2 models but 1 are compared'):
            call()


@pytest.mark.parametrize('wrong', [['', 'b'], [' ', 'b']])
def test_blank_names_are_rejected(made, wrong):
    with pytest.raises(MMPartRefError, match=r'names\[0\]: .* is blank'):
        read_comparison([made.path, made.path], names=wrong)
