"""Prediction of the page: image and expressions in, pictures and a table out."""
import html
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.results import ImageResults, PartResult
from mmpartref.demo.limits import Limits, expressions_of
from mmpartref.errors import InputError
from mmpartref.images.read_image import FORMATS, MAX_SIDE, DecodedImage
from mmpartref.tables import percent

# Longest side of the pictures on the page, in pixels.
PICTURE_SIDE = 1024


@dataclass(frozen=True)
class PageOutputs:
    """The outputs on the page.

    Attributes:
        overlay: the image with all masks.
        pictures: (picture, caption): of each expression the mask, then the heat map.
        table: HTML table of expression, score, share of the image and time.
    """
    overlay: Image.Image
    pictures: list[tuple[Image.Image, str]]
    table: str


def predict(inferencer: PartReferInferencer, path: Path | None, text: str, chosen: Sequence[str],
            limits: Limits) -> PageOutputs:
    """Predict the masks of the expressions in one image.

    Each expression is a separate call, whose time is measured: from the decoded image to the mask at its size.

    Args:
        inferencer: the model.
        path: image file, or None.
        text: one expression per line.
        chosen: part names.
        limits: limits of the expressions.

    Raises:
        InputError: the image or the expressions cannot be used.
    """
    if not path:
        raise InputError('There is no image: drop one, or choose an example.')
    expressions = expressions_of(text, chosen, limits)
    image = read_upload(inferencer, path)
    results, seconds, pictures = ImageResults(image), [], []
    for expression in expressions:
        start = time.perf_counter()
        outputs = inferencer(image, expression, heat_map=True)
        seconds.append(time.perf_counter() - start)
        for each in outputs:
            pictures += [(each.overlay(PICTURE_SIDE), f'{each.expression}: mask, score {percent(each.score)}'),
                         (each.heat_overlay(PICTURE_SIDE), f'{each.expression}: heat map')]
            # Without the heat map, which is four times the mask's size: only one is in memory at a time.
            results.append(PartResult(image, each.expression, each.mask, each.score, presence=each.presence))
    return PageOutputs(results.overlay(PICTURE_SIDE), pictures, table_of(results, seconds))


def read_upload(inferencer: PartReferInferencer, path: Path) -> DecodedImage:
    """Read the uploaded image; a ``Path`` is never a URL.

    Raises:
        InputError: it cannot be read; the message has no path and no content of the file.
    """
    try:
        return inferencer.reader(path)
    except (ValueError, OSError):
        raise InputError(why_unreadable(path, inferencer.reader.max_pixels)) from None


def why_unreadable(path: Path, max_pixels: int) -> str:
    """Return why an image file was rejected, from its header alone."""
    try:
        with Image.open(path, formats=[each for each in FORMATS if each in Image.OPEN]) as image:
            width, height = image.size
    except Exception:  # broken files make PIL raise errors of many types
        return ('The file is not an image that can be read here; save it as a JPEG or PNG file of at most '
                f'{max_pixels:,} pixels, and upload that.')
    size = f'The image is {width:,} x {height:,} pixels'
    if width * height > max_pixels:
        return f'{size}, more than max_pixels={max_pixels:,}; make it smaller.'
    if max(width, height) > MAX_SIDE:
        return f'{size}, and no side may be longer than {MAX_SIDE:,}; make it smaller.'
    return 'The image cannot be decoded, it is damaged or truncated; save it again as a JPEG or PNG file.'


def table_of(results: Sequence[PartResult], seconds: Sequence[float]) -> str:
    """Return an HTML table with a row per expression, with all text escaped."""
    rows = ''.join(
        f'<tr><td>{html.escape(result.expression)}</td><td>{percent(result.score)}</td><td>{result.mask.mean():.1%}</td>'
        f'<td>{1000 * spent:.0f} ms</td></tr>' for result, spent in zip(results, seconds, strict=True))
    return ('<table class="results"><thead><tr><th>expression</th><th>score</th><th>of the image</th><th>time</th></tr>'
            f'</thead><tbody>{rows}</tbody></table>')
