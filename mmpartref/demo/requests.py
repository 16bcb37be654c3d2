"""Check the JSON that is posted to the page's functions, before Gradio reads it."""
import json
import re
from dataclasses import dataclass
from typing import Any

from mmpartref.demo.uploads import uploaded_file
from mmpartref.errors import InputError

# The page's functions: predict; predict after an example was chosen, which Gradio counts as another; fill in an
# example; make a zip.
FIND, FIND_EXAMPLE, EXAMPLE, SAVE = NAMES = ('find', 'find_example', 'example', 'save')
# Session names of Gradio's clients.
SESSION = re.compile(r'[A-Za-z0-9_-]{1,64}')
UPLOADED = {'_type': 'gradio.FileData'}


@dataclass(frozen=True)
class Functions:
    """The page's functions and their arguments.

    Attributes:
        ids: Gradio's number of each function, by name.
        max_text: characters of the expressions' field.
        examples: number of examples.
    """
    ids: dict[str, int]
    max_text: int
    examples: int

    def read(self, body: bytes, name: str | None) -> dict[str, Any]:
        """Return a request's content, reduced to the function's arguments.

        Args:
            body: JSON.
            name: name of the function; None: by the content's ``fn_index``.

        Raises:
            InputError: the request is wrong; the message repeats nothing of it.
        """
        content = parsed(body)
        if name is None:
            index = content.get('fn_index')
            name = next((each for each, known in self.ids.items() if is_index(index) and index == known), None)
        if name not in self.ids:
            raise InputError('The page has no such function; /config has the names and numbers of its functions.')
        session = content.get('session_hash')
        if session is not None and not (isinstance(session, str) and SESSION.fullmatch(session)):
            raise InputError('"session_hash" must be a text of up to 64 letters, digits, "-" and "_".')
        data = content.get('data')
        checked = self.example_data(data) if name == EXAMPLE else self.find_data(data, name == SAVE)
        trigger = content.get('trigger_id')
        return {'data': checked, 'fn_index': self.ids[name], 'session_hash': session,
                'trigger_id': trigger if is_index(trigger) else None}

    def find_data(self, data: Any, with_threshold: bool) -> list[Any]:
        """Return [image, text] or [image, text, threshold]; an image that was not uploaded loses its path."""
        length = 3 if with_threshold else 2
        if not isinstance(data, list) or len(data) != length:
            form = '[image, text, threshold]' if with_threshold else '[image, text]'
            raise InputError(f'"data" must be a list of {length} values: {form}.')
        image, text, *thresholds = data
        if image is not None and not (isinstance(image, dict) and isinstance(image.get('path'), str)):
            raise InputError('The image must be null or {"path": "..."} with the path that '
                             '/gradio_api/upload returned.')
        if text is not None and not is_text(text, self.max_text):
            raise InputError(f'The expressions must be one text of up to {self.max_text:,} characters, one '
                             'expression per line.')
        if not all(type(each) in (int, float) and 0 <= each <= 1 for each in thresholds):
            raise InputError('The threshold must be a number from 0 to 1.')
        if image is not None:
            file = uploaded_file(image['path'])
            image = {'path': None} if file is None else {'path': str(file), 'meta': UPLOADED}
        return [image, text or '', *thresholds]

    def example_data(self, data: Any) -> list[int]:
        """Return the data of a request for an example, [index], or raise an InputError if it is anything else."""
        if not isinstance(data, list) or len(data) != 1 or not is_index(data[0], self.examples):
            raise InputError(f'"data" must be a list of one number below {self.examples}, the example.')
        return data


def parsed(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        InputError: it is not one.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError('The request must be JSON in UTF-8.') from None
    if not isinstance(content, dict):
        raise InputError('The request must be a JSON object with a list "data".')
    return content


def is_index(value: Any, end: float = 2**31) -> bool:
    """Return whether a value is an integer with 0 <= value < end."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < end


def is_text(value: Any, max_characters: int) -> bool:
    """Return whether a value is a text of at most ``max_characters`` that can be encoded as UTF-8."""
    if not isinstance(value, str) or len(value) > max_characters:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
