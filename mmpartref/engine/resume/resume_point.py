"""Which checkpoint a run goes on from, when the newest one may be damaged or missing."""
import logging
import zipfile
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmpartref.engine.resume.resumed_checkpoint import state_fault
from mmpartref.errors import ConfigError, WeightsError
from mmpartref.models.weights.state_files import read_checkpoint

POINTER = 'last_checkpoint'


def last_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the file that the work dir's ``last_checkpoint`` names, beside it where the folder was moved, if any."""
    pointer = Path(work_dir, POINTER)
    if not pointer.is_file():
        return None
    named = Path(pointer.read_text().strip())
    return named if named.exists() else pointer.with_name(named.name)


def damage(path: Path) -> str | None:
    """Say what is wrong with a checkpoint's bytes: every checksum of the file is checked. None if it is whole."""
    if not path.is_file():
        return 'is not there'
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, EOFError) as error:
        return f'is damaged ({error})'
    return None if bad is None else f'is damaged (checksum of {bad})'


def progress(path: Path) -> tuple[int, int] | None:
    """Return a checkpoint's epochs and iterations; None where a run cannot go on from the file."""
    if damage(path) is not None:
        return None
    try:
        checkpoint = read_checkpoint(path, mmap=True)
    except WeightsError:
        return None
    if not isinstance(checkpoint, dict) or 'optimizer' not in checkpoint or state_fault(checkpoint):
        return None
    return checkpoint['meta']['epoch'], checkpoint['meta']['iter']


def last_good(folder: Path) -> Path | None:
    """Return the whole checkpoint of a folder that has come furthest and has its optimiser (``best_...`` have not)."""
    found = {path: progress(path) for path in sorted(folder.glob('*.pth'))}
    good = {path: place for path, place in found.items() if place is not None}
    return max(good, key=lambda path: good[path]) if good else None


def choose_resume_point(cfg: Config) -> None:
    """Check the checkpoint to resume from and put it into ``cfg.load_from``.

    That of ``last_checkpoint`` is replaced, with a warning, by the last good one where it is damaged or missing. One
    that was named is never replaced.

    Raises:
        ConfigError: the checkpoint that was named is damaged or missing, or there is no good one.
    """
    if not cfg.get('resume'):
        return
    if cfg.get('load_from'):
        named = Path(cfg.load_from)
        # Addresses are mmengine's to open.
        fault = None if '://' in str(cfg.load_from) else damage(named)
        if fault is not None:
            good = last_good(named.parent)
            raise ConfigError(f'cannot resume: {named} {fault}; ' + (
                f'the last good checkpoint beside it is {good}' if good else 'there is no good checkpoint beside it'))
        return
    last = last_checkpoint(cfg.work_dir)
    fault = 'is not there' if last is None else damage(last)
    if fault is not None:
        good = last_good(Path(cfg.work_dir))
        if good is None and last is not None:
            raise ConfigError(f'cannot resume: {last} {fault}, and {cfg.work_dir} holds no good checkpoint; without '
                              '--resume the training starts anew')
        if good is None:
            return
        print_log(f'{last or Path(cfg.work_dir, POINTER)} {fault}: going on from the last good checkpoint, {good}',
                  'current', level=logging.WARNING)
        last = good
    cfg.load_from = str(last)
