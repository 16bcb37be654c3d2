"""Checks of the arguments of functions that users call."""
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from mmpartref.errors import InputError, InputTypeError, MissingFileError
from mmpartref.text import shown, text_fault

# A day; a socket takes no more than 292 years.
MAX_SECONDS = 86400.0
NUMBERS = (int, float, np.integer, np.floating)


def check_integer(value: Any, name: str, minimum: int = 1, maximum: int | None = None) -> int:
    """Return an integer of Python or numpy as int.

    Raises:
        InputTypeError: it is of another type; True and False are no numbers here.
        InputError: it is less than ``minimum``, or more than ``maximum``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputTypeError(f'{name}={shown(value)} should be an integer, at least {minimum}')
    if value < minimum:
        raise InputError(f'{name}={shown(value)} must be at least {minimum}')
    if maximum is not None and value > maximum:
        raise InputError(f'{name}={shown(value)} must be at most {maximum:,}')
    return int(value)


def check_number(value: Any, name: str, minimum: float, maximum: float) -> float:
    """Return a number of Python or numpy from ``minimum`` to ``maximum`` as float.

    Raises:
        InputTypeError: it is of another type; True and False are no numbers here.
        InputError: it is out of range, or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
        raise InputTypeError(f'{name}={shown(value)} should be a number from {minimum:g} to {maximum:g}')
    if not minimum <= value <= maximum:  # true for NaN
        raise InputError(f'{name}={shown(value)} must be from {minimum:g} to {maximum:g}')
    return float(value)


def check_seconds(value: Any, name: str) -> float:
    """Return a number of seconds, above 0 and at most ``MAX_SECONDS``, as float.

    Raises:
        InputTypeError: it is not a number of Python or numpy.
        InputError: it is out of range, or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
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


def check_text(value: object, name: str, *, blank: bool = True) -> str:
    """Return a text that files can store; without ``blank`` it needs a visible character.

    Raises:
        InputTypeError: it is not a string.
        InputError: it has a lone surrogate, or is blank.
    """
    if not isinstance(value, str):
        raise InputTypeError(f'{name}={shown(value)} should be a string')
    if fault := text_fault(value, blank='' if blank else f'{shown(value)} is blank; write a word'):
        raise InputError(f'{name}: {fault}')
    return str(value)


def check_choice(value: object, name: str, choices: Collection[str]) -> None:
    """Check that a value is one of some strings.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise InputError(f'{name}={shown(value)} is unknown; choose one of {tuple(choices)}')


def check_instance(value: object, name: str, kind: type, source: str) -> None:
    """Check the class of a value; ``source`` says where the message should send the user for one.

    Raises:
        InputTypeError: it is of another class.
    """
    if not isinstance(value, kind):
        raise InputTypeError(f'{name}={shown(value)} should be a {kind.__name__}; {source}')


def check_sequence(value: Any, name: str, content: str, kind: type = object) -> list[Any]:
    """Return the elements of a list, a tuple, an array or another iterable that has an order and can be read again.

    Args:
        value: to check.
        name: of the argument.
        content: what it should contain, in the plural.
        kind: class of every element.

    Raises:
        InputTypeError: it is something else, e.g. a single text, or an element is of another class.
    """
    elements: list[Any] | None = None
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Iterator, Mapping, set, frozenset)):
        with suppress(TypeError):  # an array without axes
            elements = list(value)
    if elements is None:
        raise InputTypeError(f'{name}={shown(value)} should be a list of {content}')
    for number, element in enumerate(elements):
        if not isinstance(element, kind):
            raise InputTypeError(f'{name} should be a list of {content}, but {name}[{number}] is {shown(element)}')
    return elements


def check_numbers(value: Any, name: str, minimum: float, maximum: float) -> list[Any]:
    """Return numbers from ``minimum`` to ``maximum`` as a list, each as it is given.

    Raises:
        InputTypeError, InputError: see ``check_sequence`` and ``check_number``.
    """
    numbers = check_sequence(value, name, 'numbers')
    for place, number in enumerate(numbers):
        check_number(number, f'{name}[{place}]', minimum, maximum)
    return numbers


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
    raise MissingFileError(f'{name} {shown(path)} does not exist: no path has a zero byte or half a character')
