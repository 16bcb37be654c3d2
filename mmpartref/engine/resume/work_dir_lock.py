"""Lock of a work dir, so that two trainings cannot write their checkpoints into one folder."""
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmpartref.engine.resume.write_checkpoint import check_work_dir
from mmpartref.errors import CheckpointWriteError, FileInTheWayError, InputError, MissingFileError
from mmpartref.files.plain_file import read_plain_file
from mmpartref.text import shown

LOCK = 'training.lock'
MAX_BYTES = 10_000
# Variables with a process's rank, by launcher, as mmengine reads them.
RANKS = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}
# Variables with the id of a job and how often it was restarted; its earlier processes have ended before.
JOBS = (('TORCHELASTIC_RUN_ID', 'TORCHELASTIC_RESTART_COUNT'), ('SLURM_JOB_ID', 'SLURM_RESTART_COUNT'))
# torchrun's id where none was given.
NO_ID = 'none'
# Seconds that another process may take between making a lock and writing its content.
WRITE_TIME = 1.0


@contextmanager
def work_dir_lock(work_dir: str | Path, launcher: str = 'none') -> Iterator[None]:
    """Hold ``training.lock`` of a work dir, a json with the process id, host and start time of the owner.

    With several processes the first one holds it. A lock is taken over if its process on this host has ended, or if
    torchrun or Slurm has restarted its job. One that this process holds already is held once.

    Args:
        work_dir: made if needed.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        FileInTheWayError: the owner is running, or on another host, where that cannot be found out.
        InputError: the lock was not written by a training.
        CheckpointWriteError: the work dir is not writable.
    """
    if os.environ.get(RANKS.get(launcher, ''), '0') != '0':
        yield
        return
    check_work_dir(str(work_dir))
    path, own = Path(work_dir, LOCK), describe_process()
    if not acquire(path, own):
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError, InputError):
            if read_owner(path) == own:
                path.unlink()


def describe_process() -> dict[str, Any]:
    """Return the content of a lock of this process."""
    jobs = [(name, os.environ.get(name, NO_ID), os.environ.get(count) or '0') for name, count in JOBS]
    return {
        'process': os.getpid(),
        'host': socket.gethostname(),
        'started': time.strftime('%Y-%m-%d %H:%M:%S %z'),
        'kernel_start': kernel_start(os.getpid()),
        # By the first launcher that names the job.
        'job': next(([name, job, int(count)] for name, job, count in jobs if job != NO_ID and count.isdecimal()), None),
    }


def acquire(path: Path, own: Mapping[str, Any]) -> bool:
    """Make a lock or take one over; return False if this process holds it already. Raises as ``work_dir_lock``."""
    while True:
        try:
            with path.open('x') as file:
                json.dump(own, file)
            return True
        except FileExistsError:
            pass
        except OSError as error:
            path.unlink(missing_ok=True)
            raise CheckpointWriteError(f'cannot write the lock {path}: {error.strerror}; set another work dir with '
                                       '--work-dir') from None
        try:
            owner = read_owner(path)
        except MissingFileError as error:
            if path.is_symlink():
                raise InputError(f'{path} is a link to a file that does not exist; remove it') from error
            continue  # it was released
        if all(owner[key] == own[key] for key in ('process', 'host', 'kernel_start')):
            return False
        check_ended(owner, own, path)
        if replace_owner(path, owner, own):
            return True


def replace_owner(path: Path, owner: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Write a new owner into a lock; return False if another process has changed or removed it since it was read."""
    with suppress(FileNotFoundError), path.open('rb+') as file:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()) and parse_owner(file.read()) == owner:
            file.seek(0)
            file.truncate()
            file.write(json.dumps(own).encode())
            print_log(f'{path}: taken over from {describe(owner)}, which has ended', 'current')
            return True
    return False


def check_ended(owner: Mapping[str, Any], own: Mapping[str, Any], path: Path) -> None:
    """Check that the owner of a lock has ended.

    Raises:
        FileInTheWayError: it has not, or that cannot be found out.
    """
    name = describe(owner)
    job, before = own['job'], owner['job']
    restarted = job and before and job[:2] == before[:2] and job[2] > before[2]
    if owner['host'] == own['host']:
        if not restarted and is_running(owner['process'], owner['kernel_start']):
            raise FileInTheWayError(f'the work dir {path.parent} is used by the training in {name}; wait for its end, '
                                    'or set another folder with --work-dir')
    elif not restarted:
        raise FileInTheWayError(f'the work dir {path.parent} is locked by the training in {name}, another host; set '
                                f'another folder with --work-dir or, if that process has ended, remove {path}')


def describe(owner: Mapping[str, Any]) -> str:
    """Return the owner of a lock for a message."""
    return f"process {owner['process']} on {shown(owner['host'])}, started {shown(owner['started'])}"


def read_owner(path: Path) -> dict[str, Any]:
    """Return the content of a lock.

    Raises:
        MissingFileError: there is no lock.
        InputError: it is not the content of a lock.
    """
    deadline = time.monotonic() + WRITE_TIME
    while not (content := read_plain_file(path, max_bytes=MAX_BYTES)) and time.monotonic() < deadline:
        time.sleep(WRITE_TIME / 20)
    owner = parse_owner(content)
    if owner is None:
        raise InputError(f'{path} does not name the process of a training; remove it if no training uses the folder')
    return owner


def parse_owner(content: bytes) -> dict[str, Any] | None:
    """Return the content of a lock, None if it has not the keys and types of ``describe_process``."""
    try:
        owner = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(owner, dict) or owner.keys() != describe_process().keys():
        return None
    process, job = owner['process'], owner['job']
    good = (type(process) is int and 0 < process < 2**31
            and all(type(owner[key]) is str for key in ('host', 'started', 'kernel_start'))
            and (job is None or (type(job) is list and [type(each) for each in job] == [str, str, int])))
    return owner if good else None


def is_running(process: int, start: str) -> bool:
    """Return whether a process of this host is running.

    Args:
        process: its id.
        start: its ``kernel_start``, which another process of the same id does not have; '' if unknown.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it belongs to another user
    now = kernel_start(process)
    return now != 'ended' and (not start or not now or now == start)


def kernel_start(process: int) -> str:
    """Return the boot id and the ticks from boot to a process's start; 'ended' for a zombie, '' without ``/proc``."""
    try:
        fields = Path(f'/proc/{process}/stat').read_text(errors='replace').rpartition(')')[2].split()
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    except OSError:
        return ''
    # proc(5): the state is field 3, starttime field 22; the name in brackets, field 2, may hold blanks.
    return 'ended' if fields[0] in 'ZX' else f'{boot}:{fields[19]}'
