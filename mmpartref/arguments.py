"""Command lines of the tools: types of arguments, and a parser whose outputs never overwrite its inputs."""
import argparse
import errno
import math
import os
import sys
from collections.abc import Callable
from typing import Any

from mmpartref.errors import MMPartRefError
from mmpartref.files.output_path import check_output_file, check_output_folder, descriptor
from mmpartref.images.image_url import is_url
from mmpartref.text import shown_name, text_fault

# Greatest distance on the command line.
MAX_PIXELS = 100


def _integer(text: str, least: int, name: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f'{text!r} is not {name}')
    return number


def positive_int(text: str) -> int:
    """Return an integer of at least 1; for the ``type`` of an argument, as the other functions here."""
    return _integer(text, 1, 'an integer of at least 1')


def natural(text: str) -> int:
    """Return an integer of at least 0."""
    return _integer(text, 0, 'an integer of at least 0')


def seed(text: str) -> int:
    """Return an integer that numpy accepts as seed, 0 to 2**32 - 1."""
    number = _integer(text, 0, 'an integer from 0 to 4294967295')
    if number >= 2**32:
        raise argparse.ArgumentTypeError(f'{text!r} is not an integer from 0 to 4294967295')
    return number


def fraction(text: str) -> float:
    """Return a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:  # false for NaN
        raise argparse.ArgumentTypeError(f'{text!r} is not a number from 0 to 1')
    return number


def pixels(text: str) -> float:
    """Return a distance in pixels, 0 to ``MAX_PIXELS``."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= MAX_PIXELS:  # false for NaN
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of pixels from 0 to {MAX_PIXELS}')
    return number


def share(text: str) -> tuple[int, int]:
    """Return INDEX and COUNT of a share ``INDEX/COUNT``, the index from 0."""
    index, _, count = text.partition('/')
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f'{text!r} is not INDEX/COUNT with an INDEX from 0 to COUNT - 1')
    return int(index), int(count)


def text_argument(text: str) -> str:
    """Return a text that is not blank."""
    if not text.strip():
        raise argparse.ArgumentTypeError('it is empty')
    if fault := text_fault(text):
        raise argparse.ArgumentTypeError(fault)
    return text


def input_path(text: str) -> str:
    """Return the name of a file or folder that is read, or an address; whether it exists is checked by its reader."""
    if not text.strip():
        raise argparse.ArgumentTypeError('it is empty; name a file or folder')
    try:
        os.lstat(text)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG and not is_url(text):
            raise argparse.ArgumentTypeError(f'{shown_name(text)} is too long for a file name') from None
    return text


def output_file(text: str) -> str:
    """Return the name of a file to write: a new or plain one, a device, or '-' for stdout."""
    return _output(text, check_output_file)


def output_folder(text: str) -> str:
    """Return the name of a folder to write into, which is made if needed."""
    return _output(text, check_output_folder)


def _output(text: str, check: Callable[[str], None]) -> str:
    input_path(text)
    try:
        check(text)
    except MMPartRefError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


class ToolParser(argparse.ArgumentParser):
    """Parser of a tool, which checks its outputs before anything is computed.

    An ``output_file`` must not be an input (``input_path``) or another output; tools check what they write into an
    ``output_folder``. Where one is '-', what else the tool prints goes to stderr, until ``one_sentence_errors`` ends.
    Options are not abbreviated. All tools have ``--traceback``, which ``one_sentence_errors`` reads.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{'allow_abbrev': False, **kwargs})
        self.add_argument('--traceback', action='store_true', default=argparse.SUPPRESS,
                          help='print the traceback of an error as well')

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments and check the paths among them. Ends the program where they cannot be used."""
        parsed, rest = super().parse_known_args(args, namespace)
        inputs, outputs = self._paths(parsed, input_path), self._paths(parsed, output_file)
        for number, (name, path) in enumerate(outputs):
            for other, used in inputs:
                if same_file(path, used):
                    self.error(f'{name} {shown_name(path)} is an input ({other}) and would be overwritten; name '
                               'another file')
            for other, used in outputs[:number]:
                if same_file(path, used):
                    self.error(f'{name} and {other} are both {shown_name(path)}; name two files')
        if any(descriptor(path) == 1 for _, path in outputs):
            sys.stdout = sys.stderr
        return parsed, rest

    def _paths(self, parsed: argparse.Namespace, kind: Callable[[str], str]) -> list[tuple[str, str]]:
        """Return (name of the argument, path) for the arguments of a type."""
        found = []
        for action in self._actions:  # those of groups, too
            given = getattr(parsed, action.dest, None)
            if action.type is kind and given is not None:
                name = action.option_strings[0] if action.option_strings else action.metavar or action.dest
                found += [(str(name), path) for path in (given if isinstance(given, list) else [given])]
        return found

    def require(self, parsed: argparse.Namespace, option: str, needed: str) -> None:
        """End the program where ``option`` is given without ``needed``; the defaults of both are None or False."""
        if is_given(parsed, option) and not is_given(parsed, needed):
            self.error(f'{option} needs {needed}')


def is_given(parsed: argparse.Namespace, option: str) -> bool:
    """Return whether an option, whose default is None, False or an empty list, is on the command line."""
    value = getattr(parsed, option.strip('-').replace('-', '_'))
    return not (value is None or value is False or value == [])


def same_file(one: str, other: str) -> bool:
    """Return whether two paths are one file, also through links, or one stream (``'-'`` and ``/dev/stdout``)."""
    if descriptor(one) is not None:
        return descriptor(one) == descriptor(other)
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them does not exist
        return os.path.realpath(one) == os.path.realpath(other)
