"""Runs that are killed and resumed end like an uninterrupted run."""
import os
import re
import signal

import numpy as np
import pytest
from mmengine.config import Config

from mmpartref.engine.launch.build_runner import build_runner
from mmpartref.engine.resume import resume_point
from mmpartref.engine.resume.resume_point import choose_resume_point, damage, last_checkpoint
from mmpartref.errors import ConfigError
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed


@pytest.fixture(scope='module')
def whole(toy, tmp_path_factory):
    """The checkpoint of a run without interruption."""
    work_dir = tmp_path_factory.mktemp('whole')
    toy.train(work_dir)
    return toy.last(work_dir)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class StoppedError(Exception):
    """Ends a run in this process, as a kill does in another."""


def stop() -> None:
    raise StoppedError


@pytest.mark.e2e
@pytest.mark.parametrize(('step', 'kept'), [(3, 2), (4, 4), (7, 6), (12, 12)])
def test_a_killed_run_resumes_from_its_last_checkpoint_bit_for_bit(toy, whole, tmp_path, step, kept):
    assert toy.in_child(lambda: toy.train(tmp_path, hooks=[toy.At(step, kill)])) == -signal.SIGKILL
    assert toy.last(tmp_path)['meta']['iter'] == kept
    resumed = toy.train(tmp_path, resume=True)
    toy.assert_same_run(toy.last(tmp_path), whole)
    # The batches before it were not loaded again.
    assert len(resumed.train_dataloader.dataset.loaded) == 2 * (toy.STEPS - kept)


@pytest.mark.e2e
def test_the_number_of_loading_processes_makes_no_difference(toy, whole, tmp_path):
    assert toy.in_child(lambda: toy.train(tmp_path, workers=2, hooks=[toy.At(7, kill)])) == -signal.SIGKILL
    toy.train(tmp_path, workers=1, resume=True)
    toy.assert_same_run(toy.last(tmp_path), whole)


@pytest.mark.e2e
@pytest.mark.parametrize('operation', range(1, 9))
def test_a_kill_at_any_file_operation_leaves_a_checkpoint_that_is_named(toy, whole, tmp_path, operation):
    """Killed between writing, syncing, renaming, naming and removing, around the checkpoints of steps 4 and 6."""

    def work() -> None:
        count = 0

        def counted(original):

            def call(*args, **kwargs):
                nonlocal count
                if armed:
                    count += 1
                    if count == operation:
                        kill()
                return original(*args, **kwargs)

            return call

        armed: list[bool] = []
        for name in ('fsync', 'replace', 'remove'):
            setattr(os, name, counted(getattr(os, name)))
        toy.train(tmp_path, hooks=[toy.At(5, lambda: armed.append(True))])

    assert toy.in_child(work) == -signal.SIGKILL
    named = last_checkpoint(tmp_path)
    assert named.name in ('iter_4.pth', 'iter_6.pth')
    assert damage(named) is None
    toy.train(tmp_path, resume=True)
    toy.assert_same_run(toy.last(tmp_path), whole)
    assert not list(tmp_path.glob('*.part'))


@pytest.mark.e2e
def test_a_killed_validation_is_repeated(toy, whole, tmp_path):
    hook = toy.At(0, kill)
    hook.before_val_epoch = lambda runner: kill()
    assert toy.in_child(lambda: toy.train(tmp_path, hooks=[hook])) == -signal.SIGKILL
    assert not list(tmp_path.glob('best_*'))
    resumed = toy.start(tmp_path, resume=True)
    validated = []
    toy_hook = toy.At(0, kill)
    toy_hook.after_val_epoch = lambda runner, metrics=None: validated.append(runner.epoch)
    resumed.register_hook(toy_hook, 'LOWEST')
    with mmengine_checkpoints_allowed():
        resumed.train()
    assert validated == [1, 2, 3]
    toy.assert_same_run(toy.last(tmp_path), whole)


@pytest.mark.e2e
def test_a_run_without_a_seed_resumes_with_the_drawn_one(toy, tmp_path):
    def work() -> None:
        # mmengine draws from it; the forked process would draw what this one is going to.
        np.random.seed()  # noqa: NPY002
        toy.train(tmp_path / 'run', seed=None, hooks=[toy.At(7, kill)])

    assert toy.in_child(work) == -signal.SIGKILL
    drawn = toy.last(tmp_path / 'run')['meta']['seed']
    toy.train(tmp_path / 'run', seed=None, resume=True)
    toy.train(tmp_path / 'whole', seed=drawn)
    toy.assert_same_run(toy.last(tmp_path / 'run'), toy.last(tmp_path / 'whole'))


def test_another_number_of_batches_preserves_the_share_of_the_epoch(toy, tmp_path, caplog):
    with pytest.raises(StoppedError):
        toy.train(tmp_path, hooks=[toy.At(6, stop)])
    resumed = toy.start(tmp_path, resume=True, batch_size=4)
    assert [len(resumed.train_dataloader)] == [2]
    with mmengine_checkpoints_allowed(), pytest.MonkeyPatch.context() as patch:
        warned = []
        patch.setattr(resumed.logger, 'warning', lambda message, *args: warned.append(message))
        resumed.train()
    assert any('1 processes and 4 batches per epoch, this run has 1 and 2: it resumes after batch 1' in each
               for each in warned)
    # Half of the second epoch, and the third.
    assert len(resumed.train_dataloader.dataset.loaded) == 4 + 8


def test_mmengines_loop_rejects_a_position_within_an_epoch(toy, tmp_path):
    with pytest.raises(StoppedError):
        toy.train(tmp_path, hooks=[toy.At(6, stop)])
    runner = toy.start(tmp_path, resume=True)
    runner._train_loop['type'] = 'EpochBasedTrainLoop'
    with mmengine_checkpoints_allowed(), pytest.raises(ValueError, match='2 of 4 batches'):
        runner.train()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize('harm', [truncate, flip, os.remove])
def test_a_damaged_checkpoint_is_replaced_by_the_last_undamaged_one_with_a_warning(toy, whole, tmp_path, capsys, harm):
    toy.train(tmp_path)
    harm(tmp_path / 'iter_12.pth')
    toy.train(tmp_path, resume=True)
    fault = 'does not exist' if harm is os.remove else 'is damaged'
    printed = capsys.readouterr().out
    assert re.search(rf'iter_12\.pth: it {fault}.*the last usable checkpoint there, {tmp_path}/iter_10\.pth', printed)
    toy.assert_same_run(toy.last(tmp_path), whole)


def test_a_damaged_checkpoint_that_was_named_is_not_replaced(toy, tmp_path):
    toy.train(tmp_path)
    truncate(tmp_path / 'iter_12.pth')
    with pytest.raises(ConfigError, match=r'iter_12\.pth: it is damaged .*to resume from is .*iter_10\.pth'):
        toy.start(tmp_path, resume=str(tmp_path / 'iter_12.pth'))


def test_a_folder_without_pointer_or_moved_still_resumes(toy, tmp_path):
    toy.train(tmp_path / 'here')
    (tmp_path / 'here').rename(tmp_path / 'there')
    assert last_checkpoint(tmp_path / 'there') == tmp_path / 'there/iter_12.pth'
    os.remove(tmp_path / 'there/last_checkpoint')
    cfg = Config({'resume': True, 'work_dir': str(tmp_path / 'there')})
    choose_resume_point(cfg)
    assert cfg.load_from == str(tmp_path / 'there/iter_12.pth')
    cfg = Config({'resume': True, 'work_dir': str(tmp_path / 'nothing')})
    choose_resume_point(cfg)
    assert cfg.get('load_from') is None


def test_damaged_checkpoints_only_are_an_error_not_a_new_start(toy, tmp_path):
    toy.train(tmp_path)
    for path in tmp_path.glob('iter_*.pth'):
        truncate(path)
    with pytest.raises(ConfigError, match='has no other checkpoint to resume from'):
        build_runner(Config({'work_dir': str(tmp_path), 'resume': True}))


def test_processes_that_do_not_all_see_the_checkpoint_do_not_start(toy, tmp_path):
    toy.train(tmp_path / '0')

    def work(rank: int) -> None:
        with pytest.raises(ValueError, match=r'different \(epoch, iteration\): \[\(3, 12\), \(0, 0\)\]'):
            toy.train(tmp_path / str(rank), launcher='pytorch', resume=rank == 0)

    assert toy.in_ranks(work, tmp_path / 'ranks') == [0, 0]


@pytest.mark.parametrize('named', [False, True])
def test_a_complete_run_is_reported(toy, tmp_path, monkeypatch, named):
    toy.train(tmp_path)
    lines = []
    monkeypatch.setattr(resume_point, 'print_log', lambda line, *_, **__: lines.append(line))
    for loop, complete in (({'max_epochs': 3}, True), ({'max_epochs': 4}, False), ({'max_iters': 12}, True),
                           ({'max_iters': 13}, False), ({}, False)):
        cfg = Config({'resume': True, 'work_dir': str(tmp_path), 'train_cfg': loop})
        if named:
            cfg.load_from = str(last_checkpoint(tmp_path))
        choose_resume_point(cfg)
        expected = [f'raise train_cfg.{key} to train on' for key in loop]
        assert [line.split('; ')[1] for line in lines] == expected[:complete]
        lines.clear()


# 10 iterations: two epochs of 4 and a half.
BY_ITERATION = {'type': 'ResumableIterBasedTrainLoop', 'max_iters': 10, 'val_interval': 3}


def validated_at(toy, work_dir, **options):
    """Train, and return the iterations before each validation and each epoch, and the epochs of the data."""
    validations, epochs, hook = [], [], toy.At(0, stop)
    hook.before_val_epoch = lambda runner: validations.append(runner.iter)
    hook.before_train_epoch = lambda runner: epochs.append((runner.iter, runner.epoch))
    toy.train(work_dir, loop=BY_ITERATION, hooks=[*options.pop('hooks', []), hook], **options)
    return validations, epochs


def test_a_loop_by_iteration_passes_over_the_dataset_by_epoch(toy, tmp_path):
    validations, epochs = validated_at(toy, tmp_path)
    assert validations == [3, 6, 9, 10]
    assert epochs == [(0, 0), (4, 1), (8, 2)]
    assert toy.last(tmp_path)['meta']['iter'] == 10


@pytest.mark.parametrize('step', [3, 4, 5, 8, 9])
def test_a_loop_by_iteration_resumes_at_any_iteration(toy, tmp_path, step):
    validated_at(toy, tmp_path / 'whole')
    with pytest.raises(StoppedError):
        toy.train(tmp_path / 'stopped', loop=BY_ITERATION, hooks=[toy.At(step, stop)], checkpoint={'interval': 1})
    done = toy.last(tmp_path / 'stopped')['meta']['iter']
    validations, _ = validated_at(toy, tmp_path / 'stopped', resume=True, checkpoint={'interval': 1})
    assert validations == [each for each in (3, 6, 9, 10) if each >= done]
    whole, resumed = toy.last(tmp_path / 'whole'), toy.last(tmp_path / 'stopped')
    assert resumed['meta']['iter'] == 10
    for key in ('state_dict', 'optimizer', 'ema_state_dict'):
        toy.assert_same(resumed[key], whole[key], key)


def test_validations_of_a_loop_by_iteration_begin_and_change_as_mmengines(toy, tmp_path):
    loop = {**BY_ITERATION, 'val_begin': 4, 'val_interval': 2, 'dynamic_intervals': [(7, 1)]}
    seen, hook = [], toy.At(0, stop)
    hook.before_val_epoch = lambda runner: seen.append(runner.iter)
    toy.train(tmp_path, loop=loop, hooks=[hook])
    assert seen == [4, 6, 7, 8, 9, 10]
