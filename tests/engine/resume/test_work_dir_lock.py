"""A work dir is locked by one training: taken over from a dead process, never from one that may be running."""
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mmpartref.engine.resume.work_dir_lock import LOCK, describe_process, kernel_start, work_dir_lock
from mmpartref.errors import CheckpointWriteError, FileInTheWayError, InputError

ROOT = Path(__file__).parents[3]
SLEEP = 'import time; time.sleep(60)'


@pytest.fixture
def other():
    """A process that is running."""
    process = subprocess.Popen([sys.executable, '-c', SLEEP])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    for name in ('RANK', 'TORCHELASTIC_RUN_ID', 'TORCHELASTIC_RESTART_COUNT', 'SLURM_JOB_ID', 'SLURM_RESTART_COUNT'):
        monkeypatch.delenv(name, raising=False)


def write_lock(folder: Path, **changed: object) -> Path:
    path = folder / LOCK
    path.write_text(json.dumps({**describe_process(), **changed}))
    return path


def test_the_lock_names_its_owner_and_is_removed_at_the_end(tmp_path):
    with work_dir_lock(tmp_path / 'run'):
        content = json.loads((tmp_path / 'run' / LOCK).read_text())
        assert (content['process'], content['host']) == (os.getpid(), socket.gethostname())
        started = time.mktime(time.strptime(content['started'], '%Y-%m-%d %H:%M:%S %z'))
        assert abs(started - time.time()) < 24 * 3600
    assert list((tmp_path / 'run').iterdir()) == []


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit])
def test_the_lock_is_removed_after_an_error(tmp_path, error):
    with pytest.raises(error), work_dir_lock(tmp_path):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_process_holds_its_lock_once(tmp_path):
    with work_dir_lock(tmp_path):
        with work_dir_lock(tmp_path):
            pass
        assert (tmp_path / LOCK).is_file()


def test_a_running_owner_is_named_and_keeps_its_lock(tmp_path, other):
    path = write_lock(tmp_path, process=other.pid, kernel_start=kernel_start(other.pid))
    before = path.read_text()
    expected = rf"{tmp_path} is used by the training in process {other.pid} on .*, started '.*'; wait .* --work-dir"
    with pytest.raises(FileInTheWayError, match=expected), work_dir_lock(tmp_path):
        pytest.fail('entered')
    assert path.read_text() == before


def test_an_owner_on_another_host_is_named_with_the_file_to_remove(tmp_path):
    path = write_lock(tmp_path, host='node7', process=2**31 - 1)
    expected = rf"process {2**31 - 1} on 'node7', .*, another host; .*if that process has ended, remove {path}"
    with pytest.raises(FileInTheWayError, match=expected), work_dir_lock(tmp_path):
        pytest.fail('entered')
    path.unlink()
    with work_dir_lock(tmp_path):
        pass


def test_a_dead_owners_lock_is_taken_over(tmp_path, other, monkeypatch):
    """Killed and not waited for by its parent, then waited for, then with its id used by another process."""
    messages = []
    monkeypatch.setattr('mmpartref.engine.resume.work_dir_lock.print_log', lambda text, _: messages.append(text))
    lock = {'process': other.pid, 'kernel_start': kernel_start(other.pid)}
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    for indent in (None, 4):  # as an editor may format it
        path = write_lock(tmp_path, **lock)
        path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))
        with work_dir_lock(tmp_path):
            assert json.loads(path.read_text())['process'] == os.getpid()
        assert not list(tmp_path.iterdir())
        other.wait()
    write_lock(tmp_path, process=os.getppid(), kernel_start=lock['kernel_start'])
    with work_dir_lock(tmp_path):
        pass
    assert len(messages) == 3
    assert all(re.search(rf'{LOCK}: taken over from process \d+ on .*, which has ended$', each) for each in messages)


@pytest.mark.parametrize(('job', 'count'), [('TORCHELASTIC_RUN_ID', 'TORCHELASTIC_RESTART_COUNT'),
                                            ('SLURM_JOB_ID', 'SLURM_RESTART_COUNT')])
def test_a_restart_of_the_same_job_takes_the_lock_over_on_any_host(tmp_path, monkeypatch, job, count):
    monkeypatch.setenv(job, '17')
    write_lock(tmp_path, host='node7')
    with pytest.raises(FileInTheWayError), work_dir_lock(tmp_path):  # two steps of one job
        pytest.fail('entered')
    monkeypatch.setenv(count, '1')
    with work_dir_lock(tmp_path):
        pass
    write_lock(tmp_path, host='node7', job=[job, '18', 0])
    with pytest.raises(FileInTheWayError), work_dir_lock(tmp_path):
        pytest.fail('entered')


@pytest.mark.parametrize(('launcher', 'name'), [
    ('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK')])
def test_only_the_first_process_locks(tmp_path, monkeypatch, launcher, name):
    monkeypatch.setenv(name, '1')
    with work_dir_lock(tmp_path, launcher):
        assert not list(tmp_path.iterdir())
    with work_dir_lock(tmp_path):  # a shell inside a job
        assert list(tmp_path.iterdir())
    monkeypatch.setenv(name, '0')
    with work_dir_lock(tmp_path, launcher):
        assert list(tmp_path.iterdir())


def test_other_content_and_other_kinds_of_files_are_rejected(tmp_path):
    path = tmp_path / LOCK
    for content in ('', '{', '[]', '{"process": 1}', 'x' * 20_000):
        path.write_text(content)
        with pytest.raises(InputError, match=str(path)), work_dir_lock(tmp_path):
            pytest.fail('entered')
    path.unlink()
    for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to('nowhere')):
        make()
        with pytest.raises(InputError, match=str(path)), work_dir_lock(tmp_path):
            pytest.fail('entered')
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(CheckpointWriteError, match='cannot write into the work dir'), work_dir_lock(tmp_path / 'file'):
        pytest.fail('entered')


def compete(folder: Path, barrier, queue) -> None:
    """In a process: report whether the lock was got, and hold it until all processes have tried."""
    barrier.wait()
    try:
        with work_dir_lock(folder):
            queue.put(True)
            barrier.wait()
    except FileInTheWayError:
        queue.put(False)
        barrier.wait()


def test_of_many_processes_that_find_a_dead_lock_one_gets_it(tmp_path):
    context = multiprocessing.get_context('fork')
    for _ in range(20):
        write_lock(tmp_path, process=2**31 - 1)
        barrier, queue = context.Barrier(4, timeout=60), context.SimpleQueue()
        processes = [context.Process(target=compete, args=(tmp_path, barrier, queue)) for _ in range(4)]
        for each in processes:
            each.start()
        for each in processes:
            each.join()
        assert sorted(queue.get() for _ in processes) == [False, False, False, True]
        assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
def test_the_tools_lock_the_work_dir_and_leave_no_temporary_folders(tiny_config, odd_toyparts, tmp_path, other,
                                                                    request):
    work_dir = tmp_path / 'run'
    # Not below tmp_path: a socket's path has at most 107 bytes.
    temporary = Path(tempfile.mkdtemp(prefix='lock-'))
    request.addfinalizer(lambda: shutil.rmtree(temporary))
    config = tiny_config('train_dataloader = dict(batch_size=6, num_workers=2, persistent_workers=True)',
                         'train_cfg = dict(max_epochs=1, val_interval=5)')

    def run(tool: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(ROOT / 'tools' / tool), str(config), *arguments, '--data-root',
                   str(odd_toyparts), '--work-dir', str(work_dir)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={
            **os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT), 'TMPDIR': str(temporary)})

    done = run('train.py')
    assert done.returncode == 0, done.stderr[-3000:]
    assert not (work_dir / LOCK).exists()
    assert not list(temporary.glob('pymp-*'))  # of the loading processes, which are killed at the end
    write_lock(work_dir, process=other.pid, kernel_start=kernel_start(other.pid))
    files = {path: path.stat().st_mtime_ns for path in work_dir.rglob('*')}
    done = run('train.py')
    assert done.returncode == 1
    assert re.fullmatch(rf'the work dir .* is used by the training in process {other.pid} .*\n', done.stderr)
    assert {path: path.stat().st_mtime_ns for path in work_dir.rglob('*')} == files
    # An evaluation next to a training writes into its own folder.
    done = run('test.py', str(work_dir / 'epoch_1.pth'))
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path: files[path] for path in files if path != work_dir} == {
        path: path.stat().st_mtime_ns for path in files if path != work_dir}
    assert (work_dir / 'test').is_dir()
