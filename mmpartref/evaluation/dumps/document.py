"""Files of a header and a list of records, as dumps and queries are: reading with checks, and writing."""
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpartref.argument_checks import check_path
from mmpartref.errors import InputError, InputTypeError, MissingFileError
from mmpartref.files.atomic_write import atomic_write
from mmpartref.files.json_files import load_json
from mmpartref.text import shown, shown_name, text_fault

HEADER_TYPES = (str, int, float, type(None))


@dataclass(frozen=True)
class DocumentKind:
    """A kind of file::

        {"header": {"format": ..., "version": ..., ...},
         "<records>": [
        <one record per line>,
        ...]}

    Attributes:
        name: what messages call the file.
        format, version: in its header.
        records: key of its list.
        writer: what makes one, e.g. 'tools/test.py --dump'.
    """
    name: str
    format: str
    version: int
    records: str
    writer: str

    @property
    def fix(self) -> str:
        """How to fix a damaged file."""
        return f'write the {self.name} again with {self.writer}'

    def read(self, path: str | Path) -> tuple[dict[str, Any], list[Any]]:
        """Return the header, without format and version, and the records, which are not checked.

        Raises:
            InputTypeError: ``path`` is of another type.
            MissingFileError: the file does not exist.
            InputError: it is not of this kind or version, or the header is damaged.
        """
        path = check_path(path, f'the {self.name}')
        name = shown_name(path)
        try:
            content = load_json(path, f'{self.name} {name}', hint=self.fix)
        except FileNotFoundError:
            raise MissingFileError(f'there is no {self.name} {name}; make one with {self.writer}') from None
        header = content.get('header') if isinstance(content, dict) else None
        if not isinstance(header, dict) or header.get('format') != self.format:
            raise InputError(f"{name} is not a {self.name}: its header has no format '{self.format}'; make one with "
                             f'{self.writer}')
        version = header.get('version')
        if type(version) is not int or version != self.version:
            raise InputError(f'{name} is a {self.name} of version {shown(version)} but only version {self.version} can '
                             f'be read; make a new one with {self.writer}')
        if content.keys() != {'header', self.records} or not isinstance(content[self.records], list):
            raise InputError(f"{name} should have the header and a list '{self.records}', and nothing else; {self.fix}")
        check_header(header, f'{name}: header', self.fix)
        return {key: value for key, value in header.items() if key not in ('format', 'version')}, content[self.records]

    def write(self, path: str | Path, header: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> None:
        """Write a file atomically.

        Raises:
            InputTypeError: ``path`` or the header is of another type.
            InputError: the header has other values than strings and numbers, or contains ``format`` or ``version``.
        """
        encoded = self.encode_header(header)
        with atomic_write(path) as unfinished, unfinished.open('w', encoding='utf-8') as file:
            file.write(f'{{"header": {encoded},\n"{self.records}": [')
            for number, record in enumerate(records):
                file.write((',\n' if number else '\n') + json.dumps(record, allow_nan=False))
            file.write('\n]}\n')

    def encode_header(self, header: Mapping[str, Any]) -> str:
        """Return the header as one JSON object; format and version come first.

        Raises:
            InputTypeError: it is not a dict.
            InputError: it sets ``format`` or ``version``, or a value is not a string or a finite number.
        """
        if not isinstance(header, Mapping):
            raise InputTypeError(f'the header of a {self.name} is {shown(header)}; give a dict of strings and numbers')
        taken = {'format', 'version'} & header.keys()
        if taken:
            raise InputError(f'the header of a {self.name} sets {sorted(taken)}, which the file format sets itself; '
                             'rename them')
        check_header(header, f'the header of a {self.name}', 'write strings and numbers')
        return json.dumps({'format': self.format, 'version': self.version, **header})


def check_header(header: Mapping[str, Any], where: str, fix: str) -> None:
    """Raise an ``InputError`` where a value is not one of ``HEADER_TYPES``, or not finite."""
    for key, value in header.items():
        if not isinstance(key, str):
            raise InputError(f'{where}: the key {shown(key)} is not a string; {fix}')
        if not isinstance(value, HEADER_TYPES) or (isinstance(value, (int, float)) and not is_finite(value)):
            raise InputError(f'{where}: {shown(key)} is {shown(value)}, not a string or a finite number; {fix}')


def check_record(record: object, keys: Mapping[str, Any], where: str, fix: str) -> dict[str, Any]:
    """Return a record that has exactly ``keys``, each value of its type.

    Raises:
        InputError: it has not.
    """
    if not isinstance(record, dict):
        raise InputError(f'{where} is a {type(record).__name__}, not an object; {fix}')
    if record.keys() != keys.keys():
        missing, unknown = (', '.join(map(shown_name, sorted(each))) or 'none'
                            for each in (keys.keys() - record.keys(), record.keys() - keys.keys()))
        raise InputError(f'{where} has wrong keys (missing: {missing}; unknown: {unknown}); {fix}')
    for key, kind in keys.items():
        value = record[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f'{where}: {key} is {shown(value)}, which has the wrong type; {fix}')
        if isinstance(value, str) and (fault := text_fault(value)):
            raise InputError(f'{where}: {key} {fault}')
    return record


def is_finite(number: float) -> bool:
    """Return whether a number of a json is finite as a float; an integer can be too large for one."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False
