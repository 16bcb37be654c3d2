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
        raise ValueError('There is no photo: drop one, or choose an example.')
    asked = expressions_of(text, chosen, limits)
    try:
        photo = inferencer.reader(Path(path))  # a Path is never an address
    except (ValueError, FileNotFoundError) as error:
        # The file's own name here means nothing to whoever sent it.
        raise ValueError(str(error).replace(path, 'The photo')) from None
    results, seconds = PhotoResults(photo), []
    for expression in asked:
        start = time.perf_counter()
        results += inferencer(photo, expression, heat_map=True)
        seconds.append(time.perf_counter() - start)
    pictures = []
    for result in results:
        pictures += [(result.overlay(SHOWN_SIDE), f'{result.expression}: mask, score {result.score:.2f}'),
                     (result.heat_overlay(SHOWN_SIDE), f'{result.expression}: heat map')]
    return Answer(results.overlay(SHOWN_SIDE), pictures, table_of(results, seconds))


def table_of(results: Sequence[PartResult], seconds: Sequence[float]) -> str:
    """Return an HTML table with a row per expression, what was typed escaped."""
    rows = ''.join(
        f'<tr><td>{html.escape(result.expression)}</td><td>{result.score:.3f}</td><td>{result.mask.mean():.1%}</td>'
        f'<td>{1000 * spent:.0f} ms</td></tr>' for result, spent in zip(results, seconds, strict=True))
    return ('<table class="answers"><thead><tr><th>expression</th><th>score</th><th>of the photo</th><th>time</th></tr>'
            f'</thead><tbody>{rows}</tbody></table>')
