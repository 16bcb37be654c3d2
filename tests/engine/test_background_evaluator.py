"""Metrics in a thread: the results, errors and memory of an evaluation in turn."""
import copy
import pickle
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.runner import Runner
from PIL import Image

from mmpartref.engine.background_evaluator import MAX_PENDING, BackgroundEvaluator, time_without_waiting
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.engine.launch.prediction_dump import add_dump, draw_into
from mmpartref.engine.terminal.terminal_runner import TerminalRunner
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.metrics.referring_seg_metric import ReferringSegMetric
from mmpartref.structures import ReferringDataSample
from mmpartref.visualization import PartReferVisualizer

SECONDS = 20


class Collect(BaseMetric):
    """The samples in the order in which they come; ``act`` is called with each batch before."""

    def __init__(self, act: Callable[[object], None] = lambda batch: None) -> None:
        super().__init__()
        self.act = act

    def process(self, data_batch: object, data_samples: list) -> None:
        self.act(data_batch)
        self.results.extend(data_samples)

    def compute_metrics(self, results: list) -> dict:
        return {'all': list(results)}


class Batch:
    """A batch that can be counted while it is in memory."""


def test_the_network_goes_on_while_the_metrics_score():
    scoring, predicted = threading.Event(), threading.Event()

    def act(batch: int) -> None:
        if batch == 0:
            scoring.set()
            assert predicted.wait(SECONDS)

    evaluator = BackgroundEvaluator(Collect(act))
    evaluator.process([0], 0)
    assert scoring.wait(SECONDS)
    evaluator.process([1], 1)
    predicted.set()
    assert evaluator.evaluate(2) == {'all': [0, 1]}


def test_batches_come_in_order_and_each_evaluation_starts_anew():
    evaluator = BackgroundEvaluator(Collect(lambda batch: time.sleep(0.002 * (12 - batch))))
    for _ in range(2):
        for number in range(12):
            evaluator.process([2 * number, 2 * number + 1], number)
        assert evaluator.evaluate(24) == {'all': list(range(24))}
        assert not threads()
    assert evaluator.seconds['scoring'] > 2 * 0.002 * 78
    assert evaluator.waited > 0.002 * 78  # there was nothing else to do


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith('evaluation')]


def test_few_batches_are_in_memory_while_the_metrics_are_slow():
    release, alive = threading.Event(), weakref.WeakSet()

    def predict_all(evaluator: BackgroundEvaluator) -> dict:
        for number in range(20):
            batch = Batch()
            alive.add(batch)
            evaluator.process([number], batch)
            del batch
        return evaluator.evaluate(20)

    evaluator = BackgroundEvaluator(Collect(lambda batch: release.wait(SECONDS)))
    with ThreadPoolExecutor(1) as other:
        ended = other.submit(predict_all, evaluator)
        deadline = time.monotonic() + SECONDS
        while len(alive) <= MAX_PENDING and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        waiting = len(alive)
        release.set()
        assert ended.result(SECONDS) == {'all': list(range(20))}
    assert waiting == MAX_PENDING + 1  # the last one is that of the network, which waits
    assert not alive


@pytest.mark.parametrize('failing', [0, 7])
def test_an_error_ends_the_evaluation_as_it_is(failing):
    error, seen = InputError('image 7: no mask'), []

    def act(batch: int) -> None:
        seen.append(batch)
        if batch == failing:
            raise error

    evaluator = BackgroundEvaluator(Collect(act))
    with pytest.raises(InputError) as raised:  # noqa: PT012 - in any of the calls
        for number in range(8):
            evaluator.process([number], number)
            time.sleep(0.01)
        evaluator.evaluate(8)
    assert raised.value is error
    # The network was ahead by a few batches at most.
    assert seen[:failing + 1] == list(range(failing + 1))
    assert len(seen) <= failing + 1 + MAX_PENDING
    assert not threads()


def test_calls_after_an_error_are_dropped():
    begun, taken = threading.Event(), threading.Event()

    def fail() -> None:
        assert begun.wait(SECONDS)
        raise InputError('no space')

    def block() -> None:
        taken.wait(1)  # until after the error was taken

    evaluator = BackgroundEvaluator(Collect())
    evaluator.in_background('drawing', fail)
    evaluator.in_background('drawing', block)
    evaluator.process([0], 0)
    begun.set()
    with pytest.raises(InputError, match='no space'):
        evaluator.evaluate(1)
    taken.set()
    assert evaluator.metrics[0].results == []
    assert not threads()


def test_what_an_interrupted_evaluation_left_is_dropped():
    evaluator = BackgroundEvaluator(Collect())

    def fail() -> None:
        raise InputError('of the evaluation before')

    evaluator.in_background('drawing', fail)
    copies = copy.deepcopy(evaluator), pickle.loads(pickle.dumps(BackgroundEvaluator([])))
    evaluator.drop_pending()
    assert not threads()
    for each in (evaluator, *copies):
        each.process([1], None)
        each.evaluate(1)


def test_the_thread_has_no_gradients_and_gets_the_samples_as_they_were():
    seen = []
    evaluator = BackgroundEvaluator(Collect(lambda batch: seen.append(torch.is_grad_enabled())))
    sample = ReferringDataSample(metainfo={'img_id': 3})
    block = threading.Event()
    evaluator.in_background('drawing', block.wait, SECONDS)
    evaluator.process([sample], None)
    sample.later = 1
    block.set()
    (found, ) = evaluator.evaluate(1)['all']
    assert found['img_id'] == 3
    assert 'later' not in found
    assert seen == [False]


def test_the_clock_stands_still_while_the_main_thread_waits():
    evaluator = BackgroundEvaluator(Collect())
    start = time_without_waiting(evaluator)
    evaluator.in_background('drawing', time.sleep, 0.5)
    evaluator.evaluate(1)
    assert time_without_waiting(evaluator) - start < 0.3
    assert time_without_waiting(Evaluator([])) > 0


def runner_of(tiny_config: Callable[..., Path], toyparts: Path, folder: Path) -> Runner:
    cfg = load_config(tiny_config('test_dataloader = dict(batch_size=1, num_workers=0)'), data_root=str(toyparts),
                      work_dir=str(folder))
    cfg.randomness = {'seed': 3}
    cfg.experiment_name, cfg.load_from = folder.name, None
    add_dump(cfg, str(folder / 'dump.json'))
    draw_into(cfg, str(folder / 'show'))
    return build_runner(cfg)


@pytest.mark.slow
def test_metrics_dump_and_overlays_are_those_of_an_evaluation_in_turn(tiny_config, odd_toyparts, tmp_path, monkeypatch):
    runner = runner_of(tiny_config, odd_toyparts, tmp_path / 'threads')
    metrics = runner.test()
    assert type(runner.test_evaluator) is type(runner.val_evaluator) is BackgroundEvaluator
    assert {'scoring', 'drawing'} == {stage for stage, seconds in runner.test_evaluator.seconds.items() if seconds}
    # Written to the json next to the metrics; three images are not worth a line.
    scalars = runner.message_hub.log_scalars
    speed = {name.rpartition('/')[2]: each.current() for name, each in scalars.items() if '/speed/' in name}
    assert speed['images_per_second'] == pytest.approx(3 / speed['seconds'])
    expressions = metrics['refer/expressions']
    assert speed['expressions_per_second'] == pytest.approx(expressions / speed['seconds'])
    parts = [speed[stage] for stage in ('network', 'loading', 'hooks', 'metrics', 'waiting')]
    assert all(part > 0 for part in parts)
    assert sum(parts) == pytest.approx(speed['seconds'])
    assert speed['scoring'] == pytest.approx(runner.test_evaluator.seconds['scoring'])
    (written, ) = (tmp_path / 'threads').glob('*/*.json')
    assert '"speed/network"' in written.read_text()

    monkeypatch.setattr(TerminalRunner, 'build_evaluator', Runner.build_evaluator)
    runner = runner_of(tiny_config, odd_toyparts, tmp_path / 'turn')
    # In another forward pass a pixel at the threshold may be on the other side.
    assert runner.test() == pytest.approx(metrics, abs=0.02)
    assert type(runner.test_evaluator) is Evaluator
    one, other = (read_dump(tmp_path / name / 'dump.json') for name in ('threads', 'turn'))
    assert [[each.ref_id for each in image.expressions] for image in one.images] == [
        [each.ref_id for each in image.expressions] for image in other.images]
    assert one.header.keys() == other.header.keys()
    shown = [sorted((tmp_path / name / 'show').iterdir()) for name in ('threads', 'turn')]
    assert len(shown[0]) == 3
    assert [each.name for each in shown[0]] == [each.name for each in shown[1]]
    for files in zip(*shown, strict=True):
        pictures = [np.array(Image.open(each)).astype(int) for each in files]
        assert pictures[0].shape == pictures[1].shape
        assert (abs(pictures[0] - pictures[1]).max(axis=-1) > 0).mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize('stage', [(ReferringSegMetric, 'process'), (PartReferVisualizer, 'add_datasample')])
def test_an_error_in_the_thread_ends_a_test_with_its_message(tiny_config, odd_toyparts, tmp_path, monkeypatch, stage):
    kind, method = stage
    calls = []

    def fail(*args: object, **kwargs: object) -> None:
        calls.append(threading.current_thread() is threading.main_thread())
        raise InputError('image a.jpg: the mask is wrong')

    monkeypatch.setattr(kind, method, fail)
    runner = runner_of(tiny_config, odd_toyparts, tmp_path / 'run')
    with pytest.raises(InputError, match=r'^image a\.jpg: the mask is wrong$'):
        runner.test()
    assert set(calls) == {False}
    assert not (tmp_path / 'run/dump.json').exists()
