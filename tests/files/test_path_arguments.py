"""Paths of another type are rejected: the number of an open file, e.g. 1 for stdout, is not read, written or closed."""
import os
from pathlib import Path

import pytest

from mmpartref.errors import InputTypeError, MissingFileError
from mmpartref.files.atomic_write import atomic_write, unfinished_files, write_text
from mmpartref.files.json_files import load_json, write_json
from mmpartref.files.output_path import check_output_file, check_output_folder, is_stream
from mmpartref.files.plain_file import open_plain_file, read_any_file, read_plain_file, read_text


def opened(path):
    with open_plain_file(path):
        pass


def written(path):
    with atomic_write(path):
        pass


READERS = (opened, read_plain_file, read_text, read_any_file, load_json)
WRITERS = (written, lambda path: write_text(path, 'text'), lambda path: write_json(path, []))
CHECKS = (is_stream, check_output_file, check_output_folder, lambda path: unfinished_files(path, '*'))


@pytest.fixture
def descriptor(tmp_path):
    """The number of an open file."""
    with (tmp_path / 'open.txt').open('w') as file:
        yield file.fileno()


@pytest.mark.parametrize('function', [*READERS, *WRITERS, *CHECKS])
def test_an_open_file_is_not_a_path(function, descriptor):
    with pytest.raises(InputTypeError, match=f'should be a string or a Path, got {descriptor}$'):
        function(descriptor)
    os.fstat(descriptor)  # still open


@pytest.mark.parametrize('path', [True, None, 1.5, b'file', ['file'], {}, object()])
@pytest.mark.parametrize('function', [*READERS, *WRITERS, *CHECKS])
def test_other_types_are_not_paths(function, path):
    with pytest.raises(InputTypeError, match='should be a string or a Path'):
        function(path)


@pytest.mark.parametrize('function', [*READERS, *WRITERS])
def test_a_zero_byte_is_one_sentence(function):
    with pytest.raises(MissingFileError, match=r"'a\\x00b' does not exist"):
        function('a\0b')


@pytest.mark.parametrize('kind', [str, Path])
def test_strings_and_paths_are_paths(kind, tmp_path):
    path = kind(tmp_path / 'a.json')
    write_json(path, [1])
    assert load_json(path) == [1]
    assert read_any_file(path) == read_plain_file(path) == read_text(path).encode()
