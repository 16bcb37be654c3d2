"""Load mmengine's checkpoints with torch's safe loader, without giving a file any object of numpy's or mmengine's.

torch loads with ``weights_only=True``: a pickle may name only what is allowed. A checkpoint of an mmengine run holds,
besides tensors, its log history and its schedulers' state. Every name that these need resolves to a ``Record`` here,
which stores what it is given and does nothing. ``restore`` checks the records after loading and builds the objects.
"""
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log

# Makes torch check even where a caller asks it not to, as some forks of mmengine do when a safe load has failed.
FORCE_CHECK = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
# The opposite, which a user may have set for another program.
FORCE_NO_CHECK = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
# From this version on torch's safe loader is without the memory corruption of CVE-2026-24747.
SOUND_TORCH = (2, 10)


class Record:
    """What a pickle asked for: a name, the arguments and the state. Nothing is called and nothing is set.

    Attributes:
        path: the name that the pickle used.
        args: arguments of the call.
        state: what the pickle would set on the result; None if nothing.
    """
    __slots__ = ('args', 'state')
    path = ''
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> 'Record':
        """Store the arguments; pickles call this directly."""
        made = object.__new__(cls)
        made.args, made.state = args, None
        return made

    def __init__(self, *args: Any) -> None:
        pass

    def __init_subclass__(cls, path: str) -> None:
        cls.path = path

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Dtype(Record, path='numpy.dtype'):
    """``numpy.dtype(code, False, True)`` with its byte order as state."""
    __slots__ = ()


class Array(Record, path='numpy.ndarray'):
    """The class of an array, named as an argument only."""
    __slots__ = ()


class Reconstruct(Record, path='numpy.core.multiarray._reconstruct'):
    """An array: its shape, dtype and bytes as state."""
    __slots__ = ()


class Scalar(Record, path='numpy.core.multiarray.scalar'):
    """A numpy scalar: dtype and bytes."""
    __slots__ = ()


class History(Record, path='mmengine.logging.history_buffer.HistoryBuffer'):
    """A log history: its attributes as state."""
    __slots__ = ()


class OneCycle(Record, path='mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler'):
    """The class of a schedule, named as an argument of ``getattr`` only."""
    __slots__ = ()


class NoBytes(Record, path='builtins.bytes'):
    """``bytes()``, as older pickle protocols write the content of an empty array."""
    __slots__ = ()


class GetAttribute(Record, path='builtins.getattr'):
    """A method by its name, which is how a log history and a one-cycle schedule refer to their own."""
    __slots__ = ()


RECORDS: tuple[type[Record], ...] = (Dtype, Array, Reconstruct, Scalar, History, OneCycle, NoBytes,
                                    GetAttribute)
# Where numpy 2 keeps two of them.
MOVED = {Reconstruct: 'numpy._core.multiarray._reconstruct', Scalar: 'numpy._core.multiarray.scalar'}


def allowed_names() -> list[tuple[type[Record], str]]:
    """Return what torch's safe loader is given: each record and the name that it stands for."""
    return [(each, each.path) for each in RECORDS] + list(MOVED.items())


_warned: set[str] = set()


def warn_of_old_torch() -> None:
    """Print once that this torch's safe loader has a known hole, where it has."""
    version = tuple(int(part) for part in torch.__version__.split('+')[0].split('.')[:2])
    if version < SOUND_TORCH and not _warned:
        _warned.add('CVE-2026-24747')
        print_log(f'torch {torch.__version__} has a hole in its safe loading of checkpoints (CVE-2026-24747): load '
                  'only files that you trust, or install torch 2.10 or later', 'current', logging.WARNING)


@contextmanager
def mmengine_checkpoints_allowed() -> Iterator[None]:
    """Let torch load mmengine's checkpoints inside this context, as ``Record`` objects, with its check on throughout.

    What is loaded still has to go through ``restore``. Inside, names that others have allowed are not: importing
    mmengine allows some of torch's own, and a call of ``DeviceMesh`` opens a port. ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD``
    is unset inside.
    """
    warn_of_old_torch()
    before = {name: os.environ.pop(name, None) for name in (FORCE_CHECK, FORCE_NO_CHECK)}
    if before[FORCE_NO_CHECK] is not None:
        print_log(f'{FORCE_NO_CHECK} is ignored while a checkpoint is loaded: no checkpoint may run code', 'current',
                  logging.WARNING)
    os.environ[FORCE_CHECK] = '1'
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(allowed_names())  # type: ignore[arg-type]
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)
        os.environ.pop(FORCE_CHECK, None)
        os.environ.update({name: value for name, value in before.items() if value is not None})

