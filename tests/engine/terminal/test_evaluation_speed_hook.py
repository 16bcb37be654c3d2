"""The line about the speed of a test."""
import re
from types import SimpleNamespace

import pytest
from mmengine.evaluator import Evaluator

from mmpartref.engine.background_evaluator import BackgroundEvaluator
from mmpartref.engine.terminal import evaluation_speed_hook
from mmpartref.engine.terminal.evaluation_speed_hook import EvaluationSpeedHook
from mmpartref.run_log import IN_TABLE
from mmpartref.structures import ReferringDataSample


class Clock:
    """In place of the clock that stands still while the main thread waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self, evaluator: Evaluator) -> float:
        return self.now


def test_the_stages_of_a_test(monkeypatch):
    clock, lines, scalars = Clock(), [], {}
    monkeypatch.setattr(evaluation_speed_hook, 'time_without_waiting', clock)
    evaluator = BackgroundEvaluator([])
    evaluator.waited, evaluator.seconds['scoring'] = 7.0, 3.0  # of an evaluation before
    runner = SimpleNamespace(test_evaluator=evaluator, logger=SimpleNamespace(info=lines.append),
                             message_hub=SimpleNamespace(update_scalar=scalars.__setitem__))
    sample = ReferringDataSample()
    sample.expressions = ['a', 'b', 'c']
    hook = EvaluationSpeedHook()
    for _ in range(2):  # a second test does not count the first
        waited, scored = evaluator.waited, evaluator.seconds['scoring']
        hook.before_test_epoch(runner)
        for number in range(100):
            clock.now += 0.05
            hook.before_test_iter(runner, number)
            clock.now += 0.8
            evaluator.received = clock.now
            clock.now += 0.05  # the other hooks
            hook.after_test_iter(runner, number, None, [sample, sample])
        evaluator.waited, evaluator.seconds['scoring'], evaluator.seconds['drawing'] = waited + 4, scored + 20, 0.0
        clock.now += 6
        hook.after_test_epoch(runner)
    found = {name: round(value, 6) for name, value in scalars.items()}
    assert found == {f'test/speed/{name}': value for name, value in {
        'images_per_second': 2, 'expressions_per_second': 6, 'seconds': 100, 'network': 80, 'loading': 5, 'hooks': 5,
        'metrics': 6, 'waiting': 4, 'scoring': 20, 'drawing': 0}.items()}
    assert lines == 2 * [
        '200 images in 100.0 s: 2.0 images and 6.0 expressions per second; the network ran 80% of the time, the '
        'others: loading 5%, hooks 5%, metrics 6%, waiting for the thread 4%; the thread scored 20% and drew 0% of the '
        'time']
    # The line has them; the table of the metrics in the terminal does not.
    assert re.sub(IN_TABLE, '', 'refer/mIoU: 0.5  speed/network: 80.0  time: 0.1') == 'refer/mIoU: 0.5  time: 0.1'


@pytest.mark.parametrize(('evaluator', 'images'), [(Evaluator([]), 200), (BackgroundEvaluator([]), 99)])
def test_other_evaluators_and_small_tests_have_no_line(evaluator, images):
    scalars = {}
    runner = SimpleNamespace(test_evaluator=evaluator, message_hub=SimpleNamespace(update_scalar=scalars.__setitem__))
    hook = EvaluationSpeedHook()
    hook.before_test_epoch(runner)
    hook.before_test_iter(runner, 0)
    hook.after_test_iter(runner, 0, None, images * [object()])
    hook.after_test_epoch(runner)
    assert bool(scalars) is isinstance(evaluator, BackgroundEvaluator)
