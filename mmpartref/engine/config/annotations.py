"""Comparison of a config's values with annotations, and annotations in plain words."""
import collections.abc
import math
import numbers
import os
import types
import typing
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

LISTS = (tuple, list, collections.abc.Sequence, set, frozenset)
WORDS = {int: 'an integer', float: 'a number', bool: 'True or False', str: 'a text', dict: 'a dict', list: 'a list',
         tuple: 'a list', type(None): 'None', os.PathLike: 'a path'}


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a config's value may be passed for an annotation.

    A dict or a text is accepted for any class that is not a plain Python type, since mmengine builds it from them. A
    list is accepted for a tuple and the reverse. NaN is no number.
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        # The name of a class is a text where a class may be given alone.
        return any(fits(value, each) for each in inner if not (isinstance(value, str) and _is_other_class(each)))
    if origin is typing.Literal:
        return value in inner
    if origin is typing.Annotated:
        return fits(value, inner[0])
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is Any or not isinstance(origin or annotation, type):
        return True
    kind = origin or annotation
    if kind is bool:
        return isinstance(value, bool) or value in (0, 1)
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and not math.isnan(value)
    if kind is str:
        return isinstance(value, (str, PurePath))
    if kind in LISTS:
        return isinstance(value, (list, tuple, set, frozenset)) and _items_fit(value, kind, inner)
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping) and all(fits(each, inner[1]) for each in value.values() if len(inner) == 2)
    if kind in (object, collections.abc.Iterable, collections.abc.Callable):
        return value is not None and not (kind is not object and isinstance(value, numbers.Number))
    return isinstance(value, (Mapping, str, PurePath, type, kind))


def _is_other_class(annotation: Any) -> bool:
    """Return whether an annotation is a class of other than plain values."""
    plain = (Mapping, list, tuple)
    return isinstance(annotation, type) and annotation not in WORDS and not issubclass(annotation, plain)


def _items_fit(value: typing.Collection[Any], kind: type, inner: tuple[Any, ...]) -> bool:
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(fits, value, inner))
    return not inner or all(fits(each, inner[0]) for each in value)


def in_words(annotation: Any) -> str:
    """Return an annotation in plain words: 'an integer or None'."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        words = [in_words(each) for each in inner if not _is_other_class(each)] or ["a dict with a 'type'"]
        return ' or '.join(dict.fromkeys(words))
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, inner))}"
    kind = origin or annotation
    if kind in LISTS:
        if not inner:
            return 'a list'
        if kind is tuple and inner[-1] is not Ellipsis:
            return f"a list of {len(inner)}: {', '.join(dict.fromkeys(map(in_words, inner)))}"
        return f'a list, each item {in_words(inner[0])}'
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return 'a dict'
    if isinstance(kind, type):
        return WORDS.get(kind, "a dict with a 'type'")
    return 'None' if annotation is None else str(annotation).replace('typing.', '')
