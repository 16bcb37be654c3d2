"""Load mmengine's checkpoints while torch refuses to run what a pickle says.

torch >= 2.6 loads with ``weights_only=True``. A checkpoint of an mmengine run holds, besides tensors, its log history
and its schedulers' state; those few types are allowed here by name. Everything else a pickle might ask for stays
refused.
"""
import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

# Makes torch check even where a caller asks it not to, as some forks of mmengine do when a safe load has failed.
FORCE_CHECK = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'


def checkpoint_types() -> list:
    """Return the types that the message hub and the schedulers inside an mmengine checkpoint are made of."""
    reconstruct, scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.uint8, np.bool_)}
    # A buffer pickles its own bound methods as ``getattr(buffer, name)``; what they return is not callable from a
    # pickle unless it is in this list too.
    return [
        HistoryBuffer,
        getattr,
        # Its state names its own annealing function.
        OneCycleParamScheduler,
        np.ndarray,
        np.dtype,
        *sorted(dtypes, key=repr),
        reconstruct,
        scalar,
        # numpy 2 moved both functions; pickles written by numpy 1 name the old place.
        (reconstruct, 'numpy.core.multiarray._reconstruct'),
        (scalar, 'numpy.core.multiarray.scalar'),
    ]


@contextmanager
def mmengine_checkpoints_allowed() -> Iterator[None]:
    """Let mmengine load its own checkpoints inside this context, with torch's check on throughout."""
    before = os.environ.get(FORCE_CHECK)
    os.environ[FORCE_CHECK] = '1'
    try:
        # Leaving takes away what entering has added: inside another such context, nothing.
        known = torch.serialization.get_safe_globals()
        with torch.serialization.safe_globals([each for each in checkpoint_types() if each not in known]):
            yield
    finally:
        if before is None:
            del os.environ[FORCE_CHECK]
        else:
            os.environ[FORCE_CHECK] = before
