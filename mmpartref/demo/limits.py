"""Limits of the demo's requests."""
from dataclasses import dataclass

from mmpartref.errors import InputError
from mmpartref.images.read_image import MAX_SIDE

# Memory of a request in addition to the model, in megabytes, rounded up from the measurements in docs/demo.md: per
# megapixel of the image, per megapixel and expression, and per expression (its picture on the page).
PER_MEGAPIXEL, PER_MEGAPIXEL_EXPRESSION, PER_EXPRESSION = 35, 1, 12


@dataclass(frozen=True)
class Limits:
    """Limits of one request and of the queue, and the code that enforces each.

    Attributes:
        max_pixels: pixels of an image, before it is decoded (``ImageReader``).
        max_bytes: bytes of an image file (Gradio's upload route).
        max_expressions, max_characters: expressions per request, and characters of each (``expressions_of``).
        max_waiting: requests in the queue (Gradio's queue), which runs one at a time.
        max_stored: bytes of all uploads and results; the oldest are deleted to make room for an upload
            (``RequestGuard``).
        max_json: bytes of any other request (``RequestGuard``).
    """
    max_pixels: int = 25_000_000
    max_bytes: int = 20 * 2**20
    max_expressions: int = 16
    max_characters: int = 200
    max_waiting: int = 16
    max_stored: int = 2 * 2**30
    max_json: int = 256 * 2**10

    def __post_init__(self) -> None:
        if not 0 < self.max_pixels <= MAX_SIDE**2:
            raise InputError(f'--max-pixels {self.max_pixels} must be from 1 to {MAX_SIDE**2:,}')

    @property
    def max_upload(self) -> int:
        """Bytes of an upload request with its form (``RequestGuard``)."""
        return self.max_bytes + 64 * 2**10


def expressions_of(text: str, limits: Limits) -> list[str]:
    """Return the expressions, one per line of ``text``, without repetitions.

    Raises:
        InputError: there is none, there are too many, or one is too long.
    """
    lines = [line.strip() for line in text.splitlines()]
    expressions = list(dict.fromkeys(line for line in lines if line))
    if not expressions:
        raise InputError('There is no expression: type one, e.g. "car tire", or choose a part name.')
    if len(expressions) > limits.max_expressions:
        raise InputError(f'{len(expressions)} expressions are more than the limit of {limits.max_expressions}; remove '
                         'some.')
    for each in expressions:
        if len(each) > limits.max_characters:
            raise InputError(f'The expression "{each[:30]}..." has {len(each)} characters, more than the limit of '
                             f'{limits.max_characters}; make it shorter.')
    return expressions


def memory_notice(limits: Limits) -> str:
    """Return the note for the page on the memory of the largest request."""
    megapixels = limits.max_pixels / 1e6
    each = PER_MEGAPIXEL_EXPRESSION * megapixels + PER_EXPRESSION
    gigabytes = (PER_MEGAPIXEL * megapixels + each * limits.max_expressions) / 1000
    return (f'A request needs up to {gigabytes:.1f} GB of memory in addition to the model: {PER_MEGAPIXEL} MB per '
            f'megapixel of the image, and for each expression {PER_EXPRESSION} MB and {PER_MEGAPIXEL_EXPRESSION} MB '
            'per megapixel. One request runs at a time.')
