"""Text from files: whether it can be used, and how a message shows it."""
import difflib
import reprlib
from collections.abc import Iterable

# Longest text that a message shows whole, in characters.
MAX_SHOWN = 80
# Longest file name.
MAX_NAME = 4 * MAX_SHOWN

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = MAX_SHOWN


def shown(value: object) -> str:
    """Return a short ``repr`` of any JSON value, on one line."""
    return _short.repr(value)


def shown_name(text: str) -> str:
    """Return a file name unchanged, or as ``shown`` if it is not printable or very long."""
    return text if text.isprintable() and len(text) <= MAX_NAME else shown(text)


def one_line(text: str, limit: int = MAX_NAME) -> str:
    """Return text on one line: control characters as escapes, and '...' for the middle of what exceeds ``limit``."""
    text = _without_middle(text, limit)
    if text.isprintable():
        return text
    escaped = ''.join(each if each.isprintable() else each.encode('unicode_escape').decode() for each in text)
    return _without_middle(escaped, limit)


def _without_middle(text: str, limit: int) -> str:
    half = (limit - 3) // 2
    return text if len(text) <= limit else f'{text[:half]}...{text[-half:]}'


def has_words(text: str) -> bool:
    """Return whether a text has a visible character: not white space, control or zero-width."""
    return any(character.isprintable() and not character.isspace() for character in text)


def text_fault(text: str, *, blank: str = '') -> str:
    """Return why a text cannot be used, or ''.

    Args:
        text: from a json.
        blank: message for a text without visible characters; '' allows it.
    """
    if blank and not has_words(text):
        return blank
    try:
        text.encode()
    except UnicodeEncodeError:
        return f'{shown(text)} contains half a character (a lone surrogate), which no file can store; correct it'
    return ''


def nearest(word: str, known: Iterable[str], what: str = 'key') -> str:
    """Return the end of a message, with the known key, or other ``what``, that is nearest to ``word``."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return f"the nearest valid {what} is '{close[0]}'" if close else f'no {what} is valid there'


def counted(number: int, thing: str) -> str:
    """Return a number with its noun, e.g. '1 image' or '2,000 images'; ``thing`` is the singular."""
    return f'{number:,} {thing}' if number == 1 else f'{number:,} {thing}s'
