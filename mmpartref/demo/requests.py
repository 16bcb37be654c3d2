"""Check the JSON that is posted to the page's functions, before Gradio reads it."""
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmpartref.demo.uploads import uploaded_file
from mmpartref.errors import InputError

FIND, EXAMPLE = 'find', 'example'
# What Gradio's clients send as the name of a session.
SESSION = re.compile(r'[A-Za-z0-9_-]{1,64}')
UPLOADED = {'_type': 'gradio.FileData'}


@dataclass(frozen=True)
class Functions:
    """What the page's functions take.

    Attributes:
        ids: of each function, by its name.
        names: part names that can be chosen; None: the page offers none.
        max_text: characters of the expressions' field.
        examples: number of examples.
    """
    ids: dict[str, int]
    names: Sequence[str] | None
    max_text: int
    examples: int

    def read(self, body: bytes, name: str | None) -> dict[str, Any]:
        """Return a request's content with only what the function takes.

        Args:
            body: JSON.
            name: of the function; None: the content names it by its ``fn_index``.

        Raises:
            ValueError: one sentence on what is wrong; nothing of the request is repeated in it.
        """
        content = parsed(body)
        if name is None:
            index = content.get('fn_index')
            name = next((each for each, known in self.ids.items() if is_index(index) and index == known), None)
        if name not in self.ids:
            raise InputError('The page has no such function; the names and numbers of its functions are in /config.')
        session = content.get('session_hash')
        if session is not None and not (isinstance(session, str) and SESSION.fullmatch(session)):
            raise InputError('"session_hash" has to be a text of up to 64 letters, digits, "-" and "_".')
        data = content.get('data')
        checked = self.find_data(data) if name == FIND else self.example_data(data)
        trigger = content.get('trigger_id')
        return {'data': checked, 'fn_index': self.ids[name], 'session_hash': session,
                'trigger_id': trigger if is_index(trigger) else None}

    def find_data(self, data: Any) -> list[Any]:
        """Return [image, text] or [image, text, part names]; an image that was not uploaded loses its path."""
        wanted = 2 if self.names is None else 3
        form = '[image, text]' if self.names is None else '[image, text, list of part names]'
        if not isinstance(data, list) or len(data) != wanted:
            raise InputError(f'"data" has to be a list of {wanted} values: {form}.')
        image, text, *chosen = data
        if image is not None and not (isinstance(image, dict) and isinstance(image.get('path'), str)):
            raise InputError('The image has to be null or {"path": "..."} with the path that '
                             '/gradio_api/upload returned.')
        if text is not None and not is_text(text, self.max_text):
            raise InputError(f'The expressions have to be one text of up to {self.max_text:,} characters, one '
                             'expression per line.')
        for names in chosen:
            known = self.names or ()
            if names is not None and not (isinstance(names, list) and len(names) <= len(known) and all(
                    isinstance(each, str) and each in known for each in names)):
                raise InputError('The part names have to be a list of names that the page offers.')
        return [None if image is None else image_data(image['path']), text or '', *(names or [] for names in chosen)]

    def example_data(self, data: Any) -> list[int]:
        """Return [index of the example]."""
        if not isinstance(data, list) or len(data) != 1 or not is_index(data[0], self.examples):
            raise InputError(f'"data" has to be a list of one number below {self.examples}, the example.')
        return data


def parsed(body: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ValueError: it is not one.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError('The request has to be JSON in UTF-8.') from None
    if not isinstance(content, dict):
        raise InputError('The request has to be a JSON object with a list "data".')
    return content


def image_data(path: str) -> dict[str, Any]:
    """Return Gradio's record of an uploaded file, without a path where there is no such upload."""
    file = uploaded_file(path)
    return {'path': None} if file is None else {'path': str(file), 'meta': UPLOADED}


def is_index(value: Any, end: float = 2**31) -> bool:
    """Return whether it is a whole number from 0 to below ``end``."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < end


def is_text(value: Any, max_characters: int) -> bool:
    """Return whether it is a text that can be encoded (half of a surrogate pair cannot)."""
    if not isinstance(value, str) or len(value) > max_characters:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
