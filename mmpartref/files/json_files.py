"""JSON files: parsing with an error that names the file, and atomic writing."""
import json
import os
from collections import Counter
from typing import Any

from mmpartref.argument_checks import check_path
from mmpartref.errors import InputError
from mmpartref.files.atomic_write import write_text
from mmpartref.files.plain_file import MAX_JSON_BYTES, read_plain_file
from mmpartref.text import shown


def parse_json(content: bytes | str, name: str, *, hint: str = 'copy or download it again',
               unique_keys: bool = True) -> Any:
    """Parse the content of a JSON file.

    Args:
        content: of the file.
        name: what a message calls the file.
        hint: how to fix a file that is truncated or damaged.
        unique_keys: reject an object with a key twice; takes longer.

    Raises:
        InputError: it is not a complete json, or an object has a key twice.
    """
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):  # json.loads silently uses the last of two values
            key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise InputError(f'{name} has a record with the key {shown(key)} twice, of which only one can be used; '
                             'remove one')
        return found

    try:
        return json.loads(content, object_pairs_hook=unique if unique_keys else None)
    except InputError:
        raise
    except json.JSONDecodeError as error:
        raise InputError(f'{name} is not a complete json: {error.msg} at line {error.lineno}, column {error.colno} of '
                         f'{len(content):,} bytes; {hint}') from None
    except UnicodeDecodeError:
        raise InputError(f'{name} is not a text file in UTF-8, so not a json; {hint}') from None
    except RecursionError:
        raise InputError(f'{name} is nested too deeply; use another file') from None
    except ValueError:  # python reads no integer of more than 4,300 digits
        raise InputError(f'{name} holds an integer of thousands of digits, which no id or size needs; correct '
                         'it') from None


def load_json(path: str | os.PathLike, name: str = '', **options: Any) -> Any:
    """Read a JSON file; ``options`` are those of ``parse_json``. Raises what that and ``read_plain_file`` raise."""
    path = check_path(path, 'the file')
    name = name or path
    return parse_json(read_plain_file(path, name, MAX_JSON_BYTES), name, **options)


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write a JSON file, indented by 2; a file that exists is replaced. Raises what ``atomic_write`` raises."""
    write_text(path, json.dumps(content, indent=2) + '\n')
