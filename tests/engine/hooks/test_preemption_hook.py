"""Preemption: the step is finished and the state saved, and the run can be resumed."""
import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from mmpartref.errors import PREEMPTED, PreemptedError, one_sentence_errors
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed

ROOT = Path(__file__).parents[3]


def preempt(number: int = signal.SIGTERM) -> None:
    signal.raise_signal(number)


@pytest.fixture(scope='module')
def whole(toy, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    toy.train(work_dir)
    return toy.last(work_dir)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_a_preempted_run_stops_after_the_step_and_resumes_bit_for_bit(toy, whole, tmp_path, number):
    before = signal.getsignal(number)
    expected = rf'preempted by {number.name} after iteration 5; .*{tmp_path}/interrupted'
    with pytest.raises(PreemptedError, match=expected):
        toy.train(tmp_path, hooks=[toy.Before(5, lambda: preempt(number))])
    assert signal.getsignal(number) is before
    stopped = toy.last(tmp_path)
    assert (stopped['meta']['iter'], stopped['resumable_state']['batches_done']) == (5, 1)
    toy.train(tmp_path, resume=True)
    toy.assert_same_run(toy.last(tmp_path), whole)
    assert not (tmp_path / 'interrupted.pth').exists()


def test_a_validation_is_interrupted_and_repeated(toy, whole, tmp_path):
    """The averaged weights, which it validates, are swapped back before saving."""
    hook = toy.At(0, preempt)
    hook.before_val_iter = lambda runner, **kwargs: preempt()
    with pytest.raises(PreemptedError, match='after iteration 4'):
        toy.train(tmp_path, hooks=[hook])
    stopped = toy.last(tmp_path)
    assert stopped['resumable_state']['validation_due']
    assert not list(tmp_path.glob('best_*'))
    toy.train(tmp_path, resume=True)
    toy.assert_same_run(toy.last(tmp_path), whole)
    assert len(list(tmp_path.glob('best_*'))) == 1


@pytest.mark.e2e
def test_the_loading_processes_outlive_a_signal_to_the_whole_group(toy, whole, tmp_path):
    def signal_group() -> None:
        # From another process, as a cluster does.
        subprocess.run(['sh', '-c', f"trap '' TERM; kill -TERM -{os.getpgrp()}"], check=True)

    def work() -> None:
        with pytest.raises(PreemptedError):
            toy.train(tmp_path, workers=2, hooks=[toy.At(6, signal_group)])

    assert toy.in_child(work) == 0
    assert toy.last(tmp_path)['meta']['iter'] in (6, 7)
    toy.train(tmp_path, resume=True)
    toy.assert_same_run(toy.last(tmp_path), whole)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_an_error_in_training_restores_the_signal_handlers(toy, tmp_path, number):
    before, during = signal.getsignal(number), []

    def fail() -> None:
        during.append(signal.getsignal(number))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        toy.train(tmp_path, hooks=[toy.At(1, fail)])
    assert during[0] != before
    assert signal.getsignal(number) is before


@pytest.mark.e2e
def test_the_second_signal_kills_at_once(toy, tmp_path):
    twice = [toy.Before(5, preempt), toy.Before(5, preempt)]
    assert toy.in_child(lambda: toy.train(tmp_path, hooks=twice)) == -signal.SIGTERM
    assert toy.last(tmp_path)['meta']['iter'] == 4


def test_accumulation_of_gradients_is_finished(toy, tmp_path):
    runner = toy.start(tmp_path, hooks=[toy.Before(4, preempt)])
    runner.optim_wrapper['accumulative_counts'] = 3
    with mmengine_checkpoints_allowed(), pytest.raises(PreemptedError, match='after iteration 6;'):
        runner.train()


@pytest.mark.slow
def test_all_processes_stop_at_the_same_step_and_two_go_on_as_two(toy, tmp_path):
    """Each with separate BatchNorm statistics; only those of the main process are in the weights."""

    def train(name: str, **options):

        def work(rank: int) -> None:
            runner = toy.train(tmp_path / name, launcher='pytorch', **options)
            torch.save(runner.model.module.state_dict(), tmp_path / f'{name}_{rank}.pt')

        return work

    assert toy.in_ranks(train('whole'), tmp_path / 'first') == [0, 0]

    def stop(rank: int) -> None:
        hooks = [toy.Before(3, preempt)] if rank == 1 else []
        sent = 'SIGTERM' if rank == 1 else "another process's signal"
        with pytest.raises(PreemptedError, match=f'preempted by {sent} after iteration 3;'):
            toy.train(tmp_path / 'stopped', launcher='pytorch', hooks=hooks)

    assert toy.in_ranks(stop, tmp_path / 'second') == [0, 0]
    assert toy.in_ranks(train('stopped', resume=True), tmp_path / 'third') == [0, 0]
    toy.assert_same_run(toy.last(tmp_path / 'stopped'), toy.last(tmp_path / 'whole'))
    states = {name: torch.load(tmp_path / f'{name}.pt') for name in ('whole_0', 'whole_1', 'stopped_1')}
    toy.assert_same(states['stopped_1'], states['whole_1'])
    means = [states[f'whole_{rank}']['layers.1.running_mean'] for rank in (0, 1)]
    assert not torch.allclose(*means, rtol=0.01, atol=0.01)


def test_all_processes_interrupt_the_validation(toy, tmp_path):
    def work(rank: int) -> None:
        hook = toy.At(0, preempt)
        if rank == 1:
            hook.before_val_iter = lambda runner, **kwargs: preempt()
        with pytest.raises(PreemptedError, match='after iteration 2;'):
            toy.train(tmp_path / 'run', launcher='pytorch', hooks=[hook])

    assert toy.in_ranks(work, tmp_path / 'ranks') == [0, 0]
    assert toy.last(tmp_path / 'run')['resumable_state']['validation_due']


def test_a_validation_of_unequal_shares_is_finished_first(toy, tmp_path):
    """Process 0 has two batches, process 1 one: they cannot agree after each."""

    def work(rank: int) -> None:
        hook = toy.At(0, preempt)
        if rank == 1:
            hook.before_val_iter = lambda runner, **kwargs: preempt()
        runner = toy.start(tmp_path / 'run', launcher='pytorch', hooks=[hook])
        runner._val_dataloader['dataset']['length'] = 9
        runner._val_dataloader['sampler']['round_up'] = False
        with mmengine_checkpoints_allowed(), pytest.raises(PreemptedError, match='after iteration 3;'):
            runner.train()

    assert toy.in_ranks(work, tmp_path / 'ranks') == [0, 0]


def test_a_signal_forwarded_by_the_launcher_does_not_kill(toy, tmp_path):
    def work(rank: int) -> None:
        with pytest.raises(PreemptedError):
            toy.train(tmp_path / 'run', launcher='pytorch', hooks=[toy.Before(3, preempt), toy.Before(3, preempt)])

    assert toy.in_ranks(work, tmp_path / 'ranks') == [0, 0]


def test_the_tools_exit_code(capsys):
    with pytest.raises(SystemExit) as caught, one_sentence_errors():
        raise PreemptedError('preempted')
    assert caught.value.code == PREEMPTED == 75
    assert capsys.readouterr().err == 'preempted\n'
