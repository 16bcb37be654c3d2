"""What happens behind the page's button."""
import html
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.results import PartResult, PhotoResults
from mmpartref.demo.limits import Limits, expressions_of
from mmpartref.errors import InputError
from mmpartref.images.read_image import FORMATS, MAX_SIDE, Photo

# Longest side of the pictures that are sent back, in pixels.
SHOWN_SIDE = 1024


@dataclass(frozen=True)
class Answer:
    """What the page shows.

    Attributes:
        overlay: the photo with all masks.
        pictures: (picture, caption): per expression its mask, then its heat map.
        table: HTML: expression, score, share of the photo and time.
    """
    overlay: Image.Image
    pictures: list[tuple[Image.Image, str]]
    table: str


def answer(inferencer: PartReferInferencer, path: str | None, text: str, chosen: Sequence[str],
           limits: Limits) -> Answer:
    """Find what is asked in one photo.

    Each expression is a call of its own, so that its time is its own: preparing the photo, the model, undoing the
    letterbox; not reading the file.

    Args:
        inferencer: the model; its ``max_pixels`` holds.
        path: of the photo; None: there is none.
        text: one expression per line.
        chosen: part names.
        limits: of the expressions.

    Raises:
        ValueError: one sentence on what is wrong with the photo or the expressions.
    """
    if not path:
        raise InputError('There is no photo: drop one, or choose an example.')
    asked = expressions_of(text, chosen, limits)
    photo = read_upload(inferencer, Path(path))
    results, seconds, pictures = PhotoResults(photo), [], []
    for expression in asked:
        start = time.perf_counter()
        found = inferencer(photo, expression, heat_map=True)
        seconds.append(time.perf_counter() - start)
        for each in found:
            pictures += [(each.overlay(SHOWN_SIDE), f'{each.expression}: mask, score {each.score:.2f}'),
                         (each.heat_overlay(SHOWN_SIDE), f'{each.expression}: heat map')]
            # Without the heat map, four times the mask's size: only one is in memory at a time.
            results.append(PartResult(photo, each.expression, each.mask, each.score, presence=each.presence))
    return Answer(results.overlay(SHOWN_SIDE), pictures, table_of(results, seconds))


def read_upload(inferencer: PartReferInferencer, path: Path) -> Photo:
    """Read the uploaded image; a ``Path`` is never an address.

    Raises:
        ValueError: one sentence without the file's path or content, which mean nothing to whoever sent it.
    """
    try:
        return inferencer.reader(path)
    except (ValueError, OSError):
        raise InputError(why_unreadable(path, inferencer.reader.max_pixels)) from None


def why_unreadable(path: Path, max_pixels: int) -> str:
    """Say why an image file was rejected, from its header alone."""
    try:
        with Image.open(path, formats=[each for each in FORMATS if each in Image.OPEN]) as image:
            width, height = image.size
    except Exception:  # broken files make PIL raise errors of many types
        return ('The photo is no image that can be read here; save it as a JPEG or PNG file, at most '
                f'{max_pixels:,} pixels, and upload that.')
    size = f'The photo is {width:,} x {height:,} pixels'
    if width * height > max_pixels:
        return f'{size}, more than max_pixels={max_pixels:,}; make it smaller.'
    if max(width, height) > MAX_SIDE:
        return f'{size}, and no side may be longer than {MAX_SIDE:,}; make it smaller.'
    return 'The photo cannot be decoded, it is damaged or cut off; save it again as a JPEG or PNG file.'


def table_of(results: Sequence[PartResult], seconds: Sequence[float]) -> str:
    """Return an HTML table with a row per expression, what was typed escaped."""
    rows = ''.join(
        f'<tr><td>{html.escape(result.expression)}</td><td>{result.score:.3f}</td><td>{result.mask.mean():.1%}</td>'
        f'<td>{1000 * spent:.0f} ms</td></tr>' for result, spent in zip(results, seconds, strict=True))
    return ('<table class="answers"><thead><tr><th>expression</th><th>score</th><th>of the photo</th><th>time</th></tr>'
            f'</thead><tbody>{rows}</tbody></table>')
