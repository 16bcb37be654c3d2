"""Checks of arguments: right values come back as Python's own, wrong ones raise one sentence."""
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmpartref.argument_checks import (
    check_choice,
    check_instance,
    check_integer,
    check_number,
    check_numbers,
    check_path,
    check_seconds,
    check_sequence,
    check_switch,
    check_text,
)
from mmpartref.errors import InputError, InputTypeError, MissingFileError


@pytest.mark.parametrize(('check', 'value', 'arguments', 'result'), [
    (check_integer, np.int64(3), (), 3), (check_integer, 0, (0, 0), 0),
    (check_number, 1, (0, 1), 1.0), (check_number, np.float32(0.5), (0, 1), 0.5),
    (check_numbers, np.array([0.0, 1.0]), (0, 1), [0, 1]), (check_numbers, (), (0, 1), []),
    (check_seconds, np.float32(2), (), 2.0), (check_switch, np.True_, (), True),
    (check_text, np.str_('dog'), (), 'dog'), (check_text, '', (), ''),
    (check_choice, 'a', (['a', 'b'], ), None), (check_instance, 3, (int, 'give one'), None),
    (check_sequence, (1, 2), ('numbers', ), [1, 2]), (check_sequence, range(2), ('numbers', ), [0, 1]),
    (check_path, Path('a/b'), (), 'a/b'), (check_path, 'a', (), 'a'), (check_path, '\udcff', (), '\udcff'),
])
def test_right_values_pass(check, value, arguments, result):
    found = check(value, 'x', *arguments)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(('check', 'value', 'arguments', 'error', 'message'), [
    (check_integer, True, (), InputTypeError, 'x=True should be an integer'),
    (check_integer, 1.0, (), InputTypeError, 'x=1.0 should be an integer'),
    (check_integer, 0, (), InputError, 'x=0 must be at least 1'),
    (check_integer, 10**400, (1, 1000), InputError, r'x=1000+\.\.\.0+ must be at most 1,000$'),
    (check_number, '1', (0, 1), InputTypeError, "x='1' should be a number from 0 to 1"),
    (check_number, False, (0, 1), InputTypeError, 'x=False'),
    (check_number, math.nan, (0, 1), InputError, 'x=nan must be from 0 to 1'),
    (check_number, 10**400, (0, 1), InputError, 'must be from 0 to 1'),
    (check_numbers, [0.5, 2], (0, 1), InputError, r'x\[1\]=2 must be from 0 to 1'),
    (check_numbers, 'ab', (0, 1), InputTypeError, "x='ab' should be a list of numbers"),
    (check_seconds, math.nan, (), InputError, 'x=nan must be above 0'),
    (check_switch, 1, (), InputTypeError, 'x=1 should be True or False'),
    (check_text, b'dog', (), InputTypeError, "x=b'dog' should be a string"),
    (check_text, '\ud800', (), InputError, 'lone surrogate'),
    (check_choice, 'c', (['a', 'b'], ), InputError, r"x='c' is unknown; choose one of \('a', 'b'\)"),
    (check_choice, np.arange(3), (['a', 'b'], ), InputError, 'is unknown'),
    (check_choice, ['a'], (['a', 'b'], ), InputError, r"x=\['a'\] is unknown"),
    (check_instance, 'a', (int, 'give one'), InputTypeError, "x='a' should be a int; give one"),
    (check_sequence, {'a': 1}, ('numbers', ), InputTypeError, r"x=\{'a': 1\} should be a list of numbers"),
    (check_sequence, {1}, ('numbers', ), InputTypeError, 'should be a list'),  # no order
    (check_sequence, iter([1]), ('numbers', ), InputTypeError, 'should be a list'),  # cannot be read twice
    (check_sequence, np.array(3), ('numbers', ), InputTypeError, 'should be a list'),
    (check_sequence, ['a', 1], ('strings', str), InputTypeError, r'x should be a list of strings, but x\[1\] is 1$'),
    (check_path, 1, (), InputTypeError, 'x should be a string or a Path, got 1'),
    (check_path, True, (), InputTypeError, 'got True'), (check_path, b'a', (), InputTypeError, "got b'a'"),
    (check_path, SimpleNamespace(), (), InputTypeError, 'got namespace'),
    (check_path, 'a\0b', (), MissingFileError, 'x .* does not exist: no path has a zero byte'),
])
def test_wrong_values_raise_one_sentence(check, value, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        check(value, 'x', *arguments)
    assert '\n' not in str(caught.value)


def test_a_blank_text_can_be_rejected():
    with pytest.raises(InputError, match="x: ' ' is blank"):
        check_text(' ', 'x', blank=False)


def test_a_path_that_has_no_path_is_rejected():
    class Broken(os.PathLike):
        def __fspath__(self):
            return 5

    with pytest.raises(InputTypeError, match='should be a string or a Path'):
        check_path(Broken(), 'x')
