"""Label Studio's export "JSON": tasks with polygons or brush strokes.

Format: HumanSignal/label-studio's documentation, "Export annotations"; the strokes' run lengths are those of
``label_studio_sdk/converter/brush.py``.
"""
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmpartref.argument_checks import check_path
from mmpartref.datasets.converters.labelling.label_document import SEPARATOR, LabelDocument, LabelNames, check_points
from mmpartref.datasets.converters.standard_json import Document
from mmpartref.errors import InputError
from mmpartref.files.json_files import load_json
from mmpartref.images.read_image import MAX_SIDE
from mmpartref.masks.outlines import draw_edges
from mmpartref.text import shown, shown_name

SOURCE = 'Label Studio'
EXPORT = 'export the project as JSON again'
# In front of the name of an uploaded file.
UPLOAD = re.compile(r'^[0-9a-f]{8}-')
# Bits of a run's fields: the size of the numbers less 1, and the sizes of the four kinds of counts less 1.
SIZE_BITS, COUNT_BITS, KINDS = 5, 4, 4


def convert_label_studio(export: str | Path, objects: Sequence[str] = (),
                         separator: str = SEPARATOR) -> tuple[dict[str, Document], list[str]]:
    """Return the json by the file's name, and lines with counts.

    Of a task the last annotation that was not cancelled counts. A polygon or brush region becomes an annotation, one
    for each of its labels, or with its note where it has none; other regions are dropped. Tasks without a region have
    no size and are dropped. ``file_name`` is what follows ``?d=`` in the address of the image, otherwise the end of the
    address; of an uploaded file without the eight digits in front.

    Args:
        export: the json.
        objects, separator: see ``LabelNames``.
    """
    path = check_path(export, 'export')
    name, tasks = shown_name(path), load_json(path)
    if not isinstance(tasks, list):
        raise InputError(f'{name} is not a list of tasks; {EXPORT}')
    document = LabelDocument(SOURCE, LabelNames(objects, separator))
    empty = cancelled = 0
    for number, task in enumerate(tasks):
        where = f'{name}: task number {number}'
        annotations = task.get('annotations') if isinstance(task, dict) else None
        if not isinstance(annotations, list) or not isinstance(task.get('data'), dict):
            raise InputError(f"{where} has no list 'annotations' or no 'data'; {EXPORT}")
        usable = [each for each in annotations if isinstance(each, dict) and not each.get('was_cancelled')]
        cancelled += len(annotations) - len(usable)
        regions = usable[-1].get('result') if usable else []
        if not isinstance(regions, list) or not all(isinstance(each, dict) for each in regions):
            raise InputError(f"{where}: 'result' is not a list of regions; {EXPORT}")
        sized = [each for each in regions if 'original_width' in each]
        if not sized:
            empty += 1
            continue
        _add_task(document, task['data'], sized, len(regions) - len(sized), where)
    content, lines = document.finish()
    return {Path(path).stem: content}, [*lines, f'{len(tasks):,} tasks; dropped: {empty:,} without a region, '
                                               f'{cancelled:,} cancelled annotations']


def _add_task(document: LabelDocument, data: dict[str, Any], regions: list[dict[str, Any]], others: int,
              where: str) -> None:
    """Add the image and the regions of one task; ``others`` is the number of regions that are not of an image."""
    size = _image_size(regions, where)
    image_id = document.add_image(image_name(data, where), size, where)
    if others:
        document.drop('not of an image', others)
    for number, region in enumerate(regions):
        place = f'{where}: result[{number}]'
        value = region.get('value')
        if not isinstance(value, dict):
            raise InputError(f"{place} has no 'value'; {EXPORT}")
        kind = region.get('type')
        if kind in ('polygonlabels', 'polygon'):
            mask = draw_polygon(value.get('points'), size, place)
        elif kind in ('brushlabels', 'brush'):
            mask = decode_brush(value.get('rle'), size, place)
        else:
            document.drop(f'of the kind {shown(kind)}')
            continue
        labels = value.get(kind) or _note(region) or ['']
        if not isinstance(labels, list):
            raise InputError(f'{place}: {kind} is {shown(labels)}, not a list of labels; {EXPORT}')
        for label in labels:
            document.add(image_id, label, mask, place)


def _note(region: dict[str, Any]) -> Any:
    """Return the note of a region; that of a region without a label is its expression."""
    meta = region.get('meta')
    text = meta.get('text') if isinstance(meta, dict) else None
    return [text] if isinstance(text, str) else text[:1] if isinstance(text, list) else text


def _image_size(regions: list[dict[str, Any]], where: str) -> tuple[int, int]:
    """Return the (h, w) of the image that all regions are of."""
    found = [[each.get('original_height'), each.get('original_width')] for each in regions]
    height, width = found[0]
    if (type(height) is not int or type(width) is not int or min(height, width) < 1 or max(height, width) > MAX_SIDE
            or any(each != found[0] for each in found)):
        raise InputError(f'{where}: its regions are of images of {shown(found)} pixels (height, width); {EXPORT}')
    return height, width


def image_name(data: dict[str, Any], where: str) -> str:
    """Return the file name of a task's image.

    Raises:
        InputError: no value of ``data`` is an address.
    """
    address = data.get('image') or next((each for each in data.values() if isinstance(each, str) and '/' in each), None)
    if not isinstance(address, str) or not address.strip():
        raise InputError(f"{where}: 'data' has no address of an image; {EXPORT}")
    parts = urllib.parse.urlsplit(address)
    local = urllib.parse.parse_qs(parts.query).get('d')
    if local:
        return local[0].lstrip('/')
    name = urllib.parse.unquote(parts.path).rsplit('/', 1)[-1]
    return UPLOAD.sub('', name) if '/upload/' in parts.path else name


def draw_polygon(points: object, size: tuple[int, int], where: str) -> np.ndarray:
    """Return the mask (h, w) of a ring in percent of the image, along the edges of its pixels."""
    return draw_edges(check_points(points, (100, 100), where) * size[::-1] / 100, size)


def decode_brush(rle: object, size: tuple[int, int], where: str) -> np.ndarray:
    """Return the mask (h, w) bool of a brush region: where its RGBA image is not transparent.

    The bytes are a stream of bits: the number of values (32 bits), the size of a value less 1 (5), the sizes of four
    kinds of counts less 1 (4 each); then for each run whether it repeats one value (1), the kind of its count (2),
    the count less 1, and the value or values.

    Raises:
        InputError: it is not a list of bytes of an RGBA image of this size.
    """
    damaged = f"{where}: its 'rle' is not that of an image of {size[0]} x {size[1]} pixels (height x width); {EXPORT}"
    if not isinstance(rle, list) or not all(type(each) is int and 0 <= each < 256 for each in rle):
        raise InputError(damaged)
    reader = _Bits(bytes(rle))
    try:
        total = reader.read(32)
        if total != 4 * size[0] * size[1]:
            raise InputError(damaged)
        value_bits = reader.read(SIZE_BITS) + 1
        count_bits = [reader.read(COUNT_BITS) + 1 for _ in range(KINDS)]
        values = np.zeros(total, dtype=np.int64)
        place = 0
        while place < total:
            repeats = reader.read(1)
            end = place + reader.read(count_bits[reader.read(2)]) + 1
            if end > total:
                raise InputError(damaged)
            values[place:end] = reader.read(value_bits) if repeats else [
                reader.read(value_bits) for _ in range(end - place)]
            place = end
    except EOFError:
        raise InputError(damaged) from None
    return values.reshape(*size, 4)[..., 3] > 0


class _Bits:
    """Reads numbers of some bits from bytes, the highest bit first."""

    def __init__(self, content: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(content, np.uint8))
        self._place = 0

    def read(self, bits: int) -> int:
        """Return the number in the next bits; raises an EOFError at the end."""
        chosen = self._bits[self._place:self._place + bits]
        if len(chosen) < bits:
            raise EOFError
        self._place += bits
        return int(''.join(map(str, chosen.tolist())), 2)
