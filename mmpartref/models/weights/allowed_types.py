"""Placeholders for the objects in mmengine's checkpoints, for loading with torch's safe loader.

With ``weights_only=True`` a pickle can use allowed names only. Besides tensors, a checkpoint of mmengine contains log
histories and scheduler states. The names that these need resolve to a ``Record``, which stores its arguments and state
without executing anything; ``restore`` checks the records after loading and builds the objects.
"""
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log

# Makes torch load safely even if a caller passes weights_only=False, as forks of mmengine do after a failed load.
FORCE_CHECK = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
# The opposite, which a user may have set for other programs.
FORCE_NO_CHECK = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
# First version whose safe loader does not have the memory corruption of CVE-2026-24747.
FIXED_TORCH = (2, 10)


class Record:
    """Placeholder for an object of a pickle: stores the name, arguments and state, and calls nothing.

    Attributes:
        path: name in the pickle.
        args: arguments of the call.
        state: state that the pickle sets; None if none.
    """
    __slots__ = ('args', 'state')
    path = ''
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> 'Record':
        """Store the arguments; called by unpicklers."""
        made = object.__new__(cls)
        made.args, made.state = args, None
        return made

    def __init__(self, *args: Any) -> None:
        pass

    def __init_subclass__(cls, path: str) -> None:
        cls.path = path

    def __setstate__(self, state: Any) -> None:
        self.state = state


def record(path: str) -> type[Record]:
    """Return a ``Record`` class for the object of that name."""
    return type(path.rpartition('.')[2], (Record, ), {'__slots__': ()}, path=path)


Dtype = record('numpy.dtype')  # numpy.dtype(code, False, True), with the byte order as state
Array = record('numpy.ndarray')  # the class, as an argument
Reconstruct = record('numpy.core.multiarray._reconstruct')  # an array, with shape, dtype and bytes as state
Scalar = record('numpy.core.multiarray.scalar')  # of dtype and bytes
History = record('mmengine.logging.history_buffer.HistoryBuffer')  # with its attributes as state
OneCycle = record('mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler')  # the class, as an argument
NoBytes = record('builtins.bytes')  # bytes(), the content of an empty array in older pickle protocols
GetAttribute = record('builtins.getattr')  # a method by name, in log histories and one-cycle schedules

RECORDS = (Dtype, Array, Reconstruct, Scalar, History, OneCycle, NoBytes, GetAttribute)
# Names of two of them in numpy 2.
MOVED = {Reconstruct: 'numpy._core.multiarray._reconstruct', Scalar: 'numpy._core.multiarray.scalar'}


def allowed_names() -> list[tuple[type[Record], str]]:
    """Return pairs of record and name for torch's safe loader."""
    return [(each, each.path) for each in RECORDS] + list(MOVED.items())


_warned: set[str] = set()


def warn_of_old_torch() -> None:
    """Warn once if this torch's safe loader has a known vulnerability."""
    version = tuple(int(part) for part in torch.__version__.split('+')[0].split('.')[:2])
    if version < FIXED_TORCH and not _warned:
        _warned.add('CVE-2026-24747')
        print_log(f'torch {torch.__version__} has a vulnerability in its safe loading of checkpoints '
                  '(CVE-2026-24747): load only files that you trust, or install torch 2.10 or later', 'current',
                  logging.WARNING)


@contextmanager
def mmengine_checkpoints_allowed() -> Iterator[None]:
    """Make ``torch.load`` safe inside this context, and let it load mmengine's objects as ``Record``.

    The loaded content has to be passed to ``restore``. Names that other code has allowed are not allowed inside:
    importing mmengine allows some of torch's, of which a call of ``DeviceMesh`` opens a port.
    ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD`` is unset inside.
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
