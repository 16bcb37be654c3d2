"""Choice of the checkpoint to resume from, where the newest one may be damaged or missing."""
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
    """Return the checkpoint in ``last_checkpoint`` of the work dir, which may have been moved; None without one."""
    pointer = Path(work_dir, POINTER)
    if not pointer.is_file():
        return None
    named = Path(pointer.read_text().strip())
    return named if named.exists() else pointer.with_name(named.name)


def damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint's file, of which all checksums are verified, or None."""
    if not path.is_file():
        return 'does not exist'
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, EOFError) as error:
        return f'is damaged ({error})'
    return None if bad is None else f'is damaged (checksum of {bad})'


def progress(path: Path) -> tuple[int, int] | None:
    """Return a checkpoint's epochs and iterations; None where a run cannot be resumed from the file."""
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
    """Return the undamaged checkpoint of a folder with the most iterations and an optimiser (``best_...`` has none)."""
    found = {path: progress(path) for path in sorted(folder.glob('*.pth'))}
    good = {path: place for path, place in found.items() if place is not None}
    return max(good, key=lambda path: good[path]) if good else None


def choose_resume_point(cfg: Config) -> None:
    """Set ``cfg.load_from`` to the checkpoint to resume from, if ``cfg.resume`` is true.

    A damaged or missing ``last_checkpoint`` is replaced, with a warning, by the last undamaged checkpoint of the work
    dir. A ``load_from`` in the config is checked and not replaced.

    Raises:
        ConfigError: ``load_from`` is damaged or missing, or there is no undamaged checkpoint.
    """
    if not cfg.get('resume'):
        return
    if cfg.get('load_from'):
        named = Path(cfg.load_from)
        # mmengine opens URLs.
        fault = None if '://' in str(cfg.load_from) else damage(named)
        if fault is not None:
            good = last_good(named.parent)
            raise ConfigError(f'cannot resume: {named} {fault}; ' + (
                f'resume from {good}, the last undamaged one there' if good else 'its folder has no undamaged one'))
        return
    last = last_checkpoint(cfg.work_dir)
    fault = 'does not exist' if last is None else damage(last)
    if fault is not None:
        good = last_good(Path(cfg.work_dir))
        if good is None and last is not None:
            raise ConfigError(f'cannot resume: {last} {fault}, and {cfg.work_dir} has no undamaged checkpoint; start '
                              'without --resume')
        if good is None:
            return
        print_log(f'{last or Path(cfg.work_dir, POINTER)} {fault}; resuming from the last undamaged checkpoint, {good}',
                  'current', level=logging.WARNING)
        last = good
    cfg.load_from = str(last)
