"""Checks of the arguments of functions that users call: integers, seconds, switches and paths."""
import os
from contextlib import suppress
from typing import Any

import numpy as np

from mmpartref.errors import InputError, InputTypeError, MissingFileError
from mmpartref.text import shown

# A day; a socket takes no more than 292 years.
MAX_SECONDS = 86400.0


def check_integer(value: Any, name: str, minimum: int = 1) -> int:
    """Return an integer of Python or numpy as int.

    Raises:
        InputTypeError: it is of another type; True and False are no numbers here.
        InputError: it is less than ``minimum``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputTypeError(f'{name}={shown(value)} should be an integer, at least {minimum}')
    if value < minimum:
        raise InputError(f'{name}={value} must be at least {minimum}')
    return int(value)


def check_seconds(value: Any, name: str) -> float:
    """Return a number of seconds, above 0 and at most ``MAX_SECONDS``, as float.

    Raises:
        InputTypeError: it is not a number of Python or numpy.
        InputError: it is out of range, or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputTypeError(f'{name}={shown(value)} should be a number of seconds')
    if not 0 < value <= MAX_SECONDS:  # false for NaN
        raise InputError(f'{name}={shown(value)} must be above 0 and at most {MAX_SECONDS:,.0f} seconds')
    return float(value)


def check_switch(value: object, name: str) -> bool:
    """Return True or False, of Python or numpy, as bool.

    Raises:
        InputTypeError: it is something else.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InputTypeError(f'{name}={shown(value)} should be True or False')
    return bool(value)


def check_path(value: object, name: str) -> str:
    """Return a path (str or ``os.PathLike``) as text; ``name`` is what the message calls it.

    Raises:
        InputTypeError: it is something else.
        MissingFileError: no file can have this path: it has a zero byte or a lone surrogate.
    """
    path = None
    if isinstance(value, (str, os.PathLike)):
        with suppress(TypeError):  # a path-like object without a path
            path = str(os.fsdecode(value))
    if path is None:
        raise InputTypeError(f'{name} should be a string or a Path, got {shown(value)}')
    with suppress(UnicodeEncodeError):
        if b'\0' not in os.fsencode(path):
            return path
    raise MissingFileError(f'{name} {shown(path)} does not exist')
