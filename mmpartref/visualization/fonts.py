"""Fonts that have the characters of a text: matplotlib's DejaVu Sans and, for what it lacks, one of the system."""
import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font
from PIL import ImageFont, features

from mmpartref.text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Latin, Greek, Cyrillic, Hebrew, Arabic and some more; no CJK.
DEJAVU = Path(get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')
# Height of its capital letters, as a share of the font size.
CAPITAL_HEIGHT = 0.729
STYLES = re.compile('bold|italic|oblique|light|thin|black|condensed|mono', re.IGNORECASE)
# A font with a box in place of every letter.
LAST_RESORT = 'lastresort'
# Characters that need no glyph: zero-width joiner and non-joiner, and selectors of a variant of an emoji.
JOINERS = frozenset('\u200c\u200d')
INVISIBLE = JOINERS | {'\ufe0e', '\ufe0f'}


def printable(text: str) -> str:
    """Return text on one line, composed (NFC), with other white space as spaces and control characters as escapes."""
    def shown(character: str) -> str:
        if unicodedata.category(character) == 'Zs':
            return ' '
        return character if character in JOINERS else one_line(character)

    text = unicodedata.normalize('NFC', text)
    return text if text.isprintable() else ''.join(map(shown, text))


def drawable(text: str, instead: str) -> str:
    """Return ``text``, or ``instead`` where no font has its characters."""
    return text if split_by_font(printable(text)) else instead


def split_by_font(text: str) -> list[tuple[str, Path]]:
    """Split ``printable`` text into pieces of one font each; an empty list where no font has all that DejaVu lacks."""
    characters = frozenset(text) - INVISIBLE
    missing = frozenset(each for each in characters if not _has(DEJAVU, each))
    # Without libraqm, Pillow draws letters from left to right and does not combine them.
    if not features.check('raqm') and any(map(_needs_layout, characters)):
        return []
    if not missing:
        return [(text, DEJAVU)]
    other = _system_font(missing)
    if other is None:
        return []
    pieces = groupby(text, key=lambda each: each in INVISIBLE or _has(other, each))
    return [(''.join(piece), other if inside else DEJAVU) for inside, piece in pieces]


def _needs_layout(character: str) -> bool:
    return (unicodedata.bidirectional(character) in ('R', 'AL') or unicodedata.combining(character) > 0
            or unicodedata.category(character) == 'Mc')


@lru_cache(maxsize=4096)
def _system_font(characters: frozenset[str]) -> Path | None:
    """Return the first of ``system_fonts`` that has all characters, None where there is none."""
    return next((file for file in system_fonts()
                 if all(_has(file, each) for each in characters) and _draws(file, characters)), None)


@lru_cache(maxsize=1)
def system_fonts() -> list[Path]:
    """Return the fonts of the system, regular ones first."""
    # Imported here because it takes a while, which texts in DejaVu's letters need not wait for.
    from matplotlib.font_manager import findSystemFonts
    files = [Path(each) for each in findSystemFonts() if LAST_RESORT not in each.lower()]
    return sorted(files, key=lambda file: (bool(STYLES.search(file.stem)), file.name, file))


def _has(file: Path, character: str) -> bool:
    bits, code = _coverage(file), ord(character)
    return code // 8 < len(bits) and bool(bits[code // 8] >> code % 8 & 1)


@cache
def _coverage(file: Path) -> bytes:
    """Return a bit per code point, whether a font has it; in less memory than a set."""
    bits = bytearray(0x110000 // 8)
    try:
        font = FT2Font(str(file))
        for code in font.get_charmap() if font.scalable else ():
            bits[code // 8] |= 1 << code % 8
    except (RuntimeError, OSError):  # damaged
        return b''
    return bytes(bits.rstrip(b'\0'))


def _draws(file: Path, characters: Iterable[str]) -> bool:
    """Return whether a font has outlines for all characters; fonts of coloured emoji have pictures instead."""
    try:
        font = ImageFont.truetype(str(file), 32)
    except OSError:
        return False
    return all(font.getmask(each).getbbox() for each in characters)


@lru_cache(maxsize=64)
def load_font(file: Path, height: int) -> ImageFont.FreeTypeFont:
    """Return a font for Pillow, such that DejaVu's capital letters have a height of ``height`` pixels."""
    return ImageFont.truetype(str(file), max(1, round(height / CAPITAL_HEIGHT)))


def set_fonts(figure: 'Figure') -> None:
    """Give each text of a matplotlib figure the fonts that have its characters."""
    # Imported here because it takes a while, which programs without figures need not wait for.
    from matplotlib.text import Text
    for text in figure.findobj(Text):
        pieces = split_by_font(printable(text.get_text().replace('\n', ' ')))
        families = {_family(file) for _, file in pieces if file != DEJAVU}
        if families:
            text.set_fontfamily(['DejaVu Sans', *families])


@cache
def _family(file: Path) -> str:
    """Make a font known to matplotlib and return its name there."""
    from matplotlib.font_manager import fontManager
    fontManager.addfont(str(file))
    return FT2Font(str(file)).family_name
