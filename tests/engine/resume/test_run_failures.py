"""Failures during a run: of the disk, the work dir, a data loading process."""
import errno
import os

import pytest
from mmengine.config import Config

from mmpartref.engine.launch.build_runner import build_runner
from mmpartref.engine.resume.write_checkpoint import check_work_dir
from mmpartref.errors import CheckpointWriteError, DataWorkerError


def full_at(name: str):
    """Return an ``os.replace`` that raises "disk full" for a file of this name."""
    replace = os.replace

    def call(source, target):
        if os.path.basename(target) == name:
            raise OSError(errno.ENOSPC, 'No space left on device')
        replace(source, target)

    return call


@pytest.mark.parametrize(('full', 'kept'), [('iter_6.pth', 'iter_4.pth'), ('last_checkpoint', None),
                                            ('best_toy_score_iter_8.pth', 'iter_8.pth')])
def test_a_full_disk_leaves_the_last_complete_checkpoint(toy, tmp_path, monkeypatch, full, kept):
    monkeypatch.setattr(os, 'replace', full_at(full))
    with pytest.raises(CheckpointWriteError, match=f'{full} cannot be written .No space left'):
        toy.train(tmp_path)
    assert not list(tmp_path.glob('*.part'))
    if kept is not None:
        assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / kept)
        assert (tmp_path / kept).is_file()
        # The previous best stays until the better one is on disk.
        assert [path.name for path in tmp_path.glob('best_*')] == ['best_toy_score_iter_4.pth']


def test_the_previous_best_is_removed_after_the_new_one_is_written(toy, tmp_path, monkeypatch):
    remove, seen = os.remove, []

    def noted(path, *args, **kwargs):
        if os.path.basename(path).startswith('best_'):
            seen.append(sorted(each.name for each in tmp_path.glob('best_*')))
        remove(path, *args, **kwargs)

    monkeypatch.setattr(os, 'remove', noted)
    toy.train(tmp_path)
    names = [f'best_toy_score_iter_{step}.pth' for step in (4, 8, 12)]
    assert seen == [sorted(names[:2]), sorted(names[1:])]
    assert [path.name for path in tmp_path.glob('best_*')] == names[2:]


@pytest.mark.parametrize('name', ['iter_2.pth', 'best_toy_score_iter_2.pth', 'last_checkpoint'])
def test_all_processes_end_when_the_main_one_cannot_write(toy, tmp_path, name):
    def work(rank: int) -> None:
        if rank == 0:
            os.replace = full_at(name)
        expected = 'No space left' if rank == 0 else 'the main process could not write .*No space left'
        with pytest.raises(CheckpointWriteError, match=expected):
            toy.train(tmp_path / 'run', launcher='pytorch')

    assert toy.in_ranks(work, tmp_path / 'ranks') == [0, 0]


@pytest.mark.parametrize(('fault', 'error', 'sentence'), [
    ('death', DataWorkerError, r'died .*Killed.*/dev/shm.*resume with --resume from .*iter_4\.pth'),
    ('exception', RuntimeError, 'Caught RuntimeError in DataLoader worker process 0')])
def test_the_death_of_a_loading_process_is_an_error_that_names_the_checkpoint(toy, tmp_path, fault, error, sentence):
    """An exception in one is raised with its traceback."""

    def work() -> None:
        runner = toy.start(tmp_path, workers=1)
        runner._train_dataloader['dataset']['fault'] = fault
        with pytest.raises(error, match=sentence) as caught:
            runner.train()
        assert type(caught.value) is error

    assert toy.in_child(work) == 0
    assert toy.last(tmp_path)['meta']['iter'] == 4


def test_a_work_dir_that_is_not_writable_is_an_error_before_anything_is_built(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(CheckpointWriteError, match=r'work dir .*file/run: Not a directory; set another one with --w'):
        build_runner(Config({'work_dir': str(tmp_path / 'file/run')}))
    check_work_dir(str(tmp_path / 'new/run'))
    assert list((tmp_path / 'new/run').iterdir()) == []
