"""Text out of a json: whether it can be used, and how a sentence shows it."""
import reprlib

# Longest text that a sentence shows whole, in characters.
MOST_SHOWN = 80

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = MOST_SHOWN


def shown(value: object) -> str:
    """Return any value of a json as one short line."""
    return _short.repr(value)


def shown_name(text: str) -> str:
    """Return a file name as it is, or as ``shown`` where it would tear a line or is very long."""
    return text if text.isprintable() and len(text) <= 4 * MOST_SHOWN else shown(text)


def has_words(text: str) -> bool:
    """Say whether there is anything to read in a text: white space, control and zero-width characters are nothing."""
    return any(character.isprintable() and not character.isspace() for character in text)


def text_fault(text: str, *, blank: str = '') -> str:
    """Say what keeps a text from being used, '' where nothing does.

    Args:
        text: of a json.
        blank: what to say of a text without anything to read; '' lets it pass.
    """
    if blank and not has_words(text):
        return blank
    try:
        text.encode()
    except UnicodeEncodeError:
        return f'{shown(text)} holds half a character (a lone surrogate), which no file can store; correct it'
    return ''
