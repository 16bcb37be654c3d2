"""The outermost form of a COCO json."""
import json
from collections import Counter
from typing import Any

from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.plain_file import MAX_JSON_BYTES, read_any_file
from mmpartref.text import shown

SECTIONS = ('images', 'annotations', 'categories')


def read_json(ann_file: str) -> dict:
    """Read the file and check its outermost form.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is no complete json, names a key twice in one record, or lacks one of the three COCO lists.
    """
    if not ann_file:
        raise InputError('ann_file is not given; name the COCO json, relative to data_root')
    try:
        content = read_any_file(ann_file, f'ann_file {ann_file}', MAX_JSON_BYTES)
    except FileNotFoundError:
        raise MissingFileError(f'ann_file {ann_file} does not exist; set data_root and ann_file to where the COCO '
                               'json lies') from None
    except OSError as error:
        raise InputError(f'ann_file {ann_file} cannot be read: {error.strerror or error}') from None
    document = parse_json(content, ann_file)
    if not isinstance(document, dict):
        raise InputError(f'{ann_file} holds a {type(document).__name__}, not an object with the lists '
                         f'{", ".join(SECTIONS)}; use a COCO json')
    for section in SECTIONS:
        if not isinstance(document.get(section), list):
            raise InputError(f"{ann_file} has no list '{section}'; use a COCO json with {', '.join(SECTIONS)}")
    return document


class _KeyTwiceError(Exception):
    """Carries a key that one object of a json has twice."""


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of an object's pairs; json itself keeps the last of two values and drops the other unsaid."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _KeyTwiceError(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return found


def parse_json(content: bytes, ann_file: str) -> Any:
    """Parse a file's content; ``ann_file`` is for complaints.

    Raises:
        ValueError: it is no complete json, or names a key twice in one record.
    """
    try:
        return json.loads(content, object_pairs_hook=_refuse_twice)
    except json.JSONDecodeError as error:
        raise InputError(f'{ann_file} is not a complete json: {error.msg} at line {error.lineno}, column '
                         f'{error.colno} of {len(content):,} bytes; copy or download it again') from None
    except UnicodeDecodeError:
        raise InputError(f'{ann_file} is not a text file in UTF-8, so no json; copy or download it again') from None
    except _KeyTwiceError as error:
        raise InputError(f'{ann_file} has a record with the key {shown(error.args[0])} twice, of which only one could '
                         'be kept; remove one') from None
    except RecursionError:
        raise InputError(f'{ann_file} is nested too deeply to be a COCO json; use another file') from None
    except ValueError:  # python reads no integer of more than 4,300 digits
        raise InputError(f'{ann_file} holds an integer of thousands of digits, which no id or size needs; correct '
                         'it') from None
