"""Choice of the checkpoint to resume from, where the newest one may be damaged or missing."""
import logging
import os
import zipfile
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmpartref.engine.resume.resumed_checkpoint import state_fault
from mmpartref.errors import ConfigError, WeightsError
from mmpartref.models.weights.checkpoints import read_outline
from mmpartref.models.weights.state_files import describe_error
from mmpartref.models.weights.zip_archives import check_archive_size
from mmpartref.text import shown, shown_name

POINTER = 'last_checkpoint'


def last_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the checkpoint in ``last_checkpoint`` of the work dir, which may have been moved; None without one."""
    pointer = Path(work_dir, POINTER)
    if not pointer.is_file():
        return None
    named = Path(pointer.read_bytes().decode(errors='replace').strip())
    return named if os.path.exists(named) else pointer.with_name(named.name or 'unnamed')


def damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint's file, of which all checksums are verified, or None."""
    if not os.path.isfile(path):
        return 'does not exist'
    try:
        check_archive_size(path)
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except Exception as error:  # zipfile raises zlib.error, NotImplementedError, ... for other bytes
        return f'is damaged ({describe_error(error)})'
    return None if bad is None else f'is damaged (checksum of {shown(bad)})'


def resume_fault(path: Path) -> str:
    """Return why a run cannot be resumed from a file, '' if it can; whether it fits the run is checked later."""
    fault = damage(path)
    if fault is not None:
        return f'it {fault}'
    try:
        return state_fault(read_outline(path))
    except WeightsError as error:
        return str(error)


def last_good(folder: Path) -> Path | None:
    """Return the checkpoint of a folder with the most iterations from which a run can be resumed."""
    good = [path for path in sorted(folder.glob('*.pth')) if not resume_fault(path)]
    return max(good, key=position, default=None)


def position(path: Path) -> tuple[int, int]:
    """Return a checkpoint's epochs and iterations."""
    meta = read_outline(path)['meta']
    return meta['epoch'], meta['iter']


def choose_resume_point(cfg: Config) -> None:
    """Set ``cfg.load_from`` to the checkpoint to resume from, if ``cfg.resume`` is true.

    A ``last_checkpoint`` that is missing or cannot be resumed from is replaced, with a warning, by the last checkpoint
    of the work dir that can. A ``load_from`` in the config is checked and not replaced.

    Raises:
        ConfigError: the run cannot be resumed from ``load_from``, or from any checkpoint of the work dir.
    """
    if not cfg.get('resume'):
        return
    if cfg.get('load_from'):
        named = Path(cfg.load_from)
        # mmengine opens URLs.
        fault = '' if '://' in str(cfg.load_from) else resume_fault(named)
        if fault:
            good = last_good(named.parent)
            raise ConfigError(f'cannot resume from {shown_name(str(named))}: {fault}' + (
                f'; the last checkpoint there to resume from is {good}' if good else
                '; there is no other one in its folder'))
        if '://' not in str(cfg.load_from):
            log_where_complete(cfg, named)
        return
    last = last_checkpoint(cfg.work_dir)
    fault = 'it does not exist' if last is None else resume_fault(last)
    if fault:
        good = last_good(Path(cfg.work_dir))
        if good is None and last is not None:
            raise ConfigError(f'cannot resume from {shown_name(str(last))}: {fault}; {cfg.work_dir} has no other '
                              'checkpoint to resume from; start without --resume')
        if good is None:
            return
        source = shown_name(str(last or Path(cfg.work_dir, POINTER)))
        print_log(f'cannot resume from {source}: {fault}; resuming from the last usable '
                  f'checkpoint there, {good}', 'current', level=logging.WARNING)
        last = good
    cfg.load_from = str(last)
    log_where_complete(cfg, Path(cfg.load_from))


def log_where_complete(cfg: Config, checkpoint: Path) -> None:
    """Log that a checkpoint is that of a complete training."""
    loop = cfg.get('train_cfg') or {}
    for key, done in zip(('max_epochs', 'max_iters'), position(checkpoint), strict=True):
        if isinstance(loop.get(key), int) and done >= loop[key]:
            print_log(f'{checkpoint} is complete ({key}={loop[key]}), so that nothing is left to train; raise '
                      f'train_cfg.{key} to train on', 'current', level=logging.WARNING)
