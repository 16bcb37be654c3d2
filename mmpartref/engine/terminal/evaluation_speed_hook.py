"""Report how fast a test ran, and what took the time."""
from collections import defaultdict
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmpartref.engine.background_evaluator import BackgroundEvaluator, time_without_waiting
from mmpartref.registry import HOOKS

# Stages of the main thread and of the evaluator's thread.
MAIN = ('network', 'loading', 'hooks', 'metrics', 'waiting')
THREAD = ('scoring', 'drawing')
# Tests of fewer images, whose time is mostly that of starting, are reported in the json alone.
MIN_REPORTED = 100


@HOOKS.register_module()
class EvaluationSpeedHook(Hook):
    """Log the speed of a test with a ``BackgroundEvaluator``, and the share of the time that the network ran.

    The json with the metrics gets, under ``speed/``, ``images_per_second``, ``expressions_per_second`` (of all
    processes) and these times of the first process, in seconds::

        seconds    the whole test, from its first batch to the metrics; the sum of the next five
        network    the model, from the batch to the masks at the size of the images
        loading    waiting for the dataloader, and hooks before a batch
        hooks      hooks after a batch
        metrics    computing the metrics of all images, writing the dump
        waiting    waiting for the evaluator's thread
        scoring    the metrics of each image, in the thread
        drawing    overlays, in the thread

    On a GPU, which computes on after a call, these are the times of the host: part of the network's is in the stages
    that wait for its results.
    """

    # After the hooks of normal priority (50), whose time is not the network's; before the LoggerHook (60), which writes
    # the scalars.
    priority = 55

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._last = self._waited = 0.0
        self._before: dict[str, float] = {}
        self._images = self._expressions = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        evaluator = runner.test_evaluator
        if isinstance(evaluator, BackgroundEvaluator):
            evaluator.drop_pending()
        self._seconds.clear()
        self._images = self._expressions = 0
        self._last, self._waited = time_without_waiting(evaluator), getattr(evaluator, 'waited', 0.0)
        self._before = dict(getattr(evaluator, 'seconds', {}))

    def before_val_epoch(self, runner: Runner) -> None:
        """Drop what an interrupted validation has left in the evaluator."""
        if isinstance(runner.val_evaluator, BackgroundEvaluator):
            runner.val_evaluator.drop_pending()

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Add the time since the batch before to that of loading."""
        self._add('loading', runner)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: list | None = None) -> None:
        """Add the time from ``before_test_iter`` to the evaluator to that of the network; count the expressions."""
        received = getattr(runner.test_evaluator, 'received', self._last)
        self._seconds['network'] += received - self._last
        self._last = received
        self._add('hooks', runner)
        self._images += len(outputs or [])
        self._expressions += sum(len(getattr(sample, 'expressions', ())) for sample in outputs or [])

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Log the speed and write the scalars."""
        evaluator = runner.test_evaluator
        if not isinstance(evaluator, BackgroundEvaluator):
            return
        self._add('metrics', runner)
        self._seconds['waiting'] = evaluator.waited - self._waited
        total = max(sum(self._seconds.values()), 1e-9)
        for stage in THREAD:
            self._seconds[stage] = evaluator.seconds[stage] - self._before.get(stage, 0.0)
        images, expressions = map(sum, zip(*all_gather_object((self._images, self._expressions)), strict=True))
        scalars = {'images_per_second': images / total, 'expressions_per_second': expressions / total,
                   'seconds': total, **{stage: self._seconds[stage] for stage in (*MAIN, *THREAD)}}
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f'test/speed/{name}', value)
        if images >= MIN_REPORTED:
            share = {stage: f'{self._seconds[stage] / total:.0%}' for stage in (*MAIN, *THREAD)}
            runner.logger.info(
                f'{images:,} images in {total:,.1f} s: {images / total:,.1f} images and {expressions / total:,.1f} '
                f"expressions per second; the network ran {share['network']} of the time, the others: loading "
                f"{share['loading']}, hooks {share['hooks']}, metrics {share['metrics']}, waiting for the thread "
                f"{share['waiting']}; the thread scored {share['scoring']} and drew {share['drawing']} of the time")

    def _add(self, stage: str, runner: Runner) -> None:
        now = time_without_waiting(runner.test_evaluator)
        self._seconds[stage] += now - self._last
        self._last = now
