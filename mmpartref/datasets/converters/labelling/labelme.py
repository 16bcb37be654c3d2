"""LabelMe: a json per image, with polygons, boxes, circles and masks.

Format: wkentaro/labelme, ``labelme/_label_file.py`` and ``labelme/utils/shape.py``, which draws the shapes.
"""
import base64
import binascii
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from PIL import ImageDraw

from mmpartref.argument_checks import check_path
from mmpartref.datasets.converters.labelling.label_document import SEPARATOR, LabelDocument, LabelNames, check_points
from mmpartref.datasets.converters.mask_document import upright_size
from mmpartref.datasets.converters.standard_json import Document
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.json_files import load_json
from mmpartref.masks.outlines import draw_by_pillow
from mmpartref.text import shown, shown_name

SOURCE = 'LabelMe'
# Number of points of a shape: the least, and whether more are allowed.
POINTS = {'polygon': (3, True), 'rectangle': (2, False), 'circle': (2, False), 'mask': (2, False)}


def convert_labelme(folder: str | Path, objects: Sequence[str] = (),
                    separator: str = SEPARATOR) -> tuple[dict[str, Document], list[str]]:
    """Return the json of all of LabelMe's files in a folder by the folder's name, and lines with counts.

    A shape becomes an annotation; shapes of an image with the same label and ``group_id`` become one. Points, lines and
    other shapes without an area are dropped. Shapes are drawn as LabelMe draws them. ``file_name`` is the image's path
    below the folder.

    Args:
        folder: searched with all folders in it; json files that are not LabelMe's are ignored and counted.
        objects, separator: see ``LabelNames``.
    """
    root = Path(check_path(folder, 'folder'))
    if not root.is_dir():
        raise MissingFileError(f'{shown_name(str(root))} is not a folder; name that of the json files')
    document = LabelDocument(SOURCE, LabelNames(objects, separator))
    others = 0
    for path in sorted(root.rglob('*.json')):
        content = load_json(path)
        if not isinstance(content, dict) or 'shapes' not in content or 'imagePath' not in content:
            others += 1
            continue
        _add_file(document, content, path, root)
    found, lines = document.finish()
    return {root.resolve().name or 'labelme': found}, [*lines, f'{others:,} other json files ignored']


def _add_file(document: LabelDocument, content: dict[str, Any], path: Path, root: Path) -> None:
    """Add the image and the shapes of one file."""
    where = shown_name(str(path))
    if not isinstance(content['imagePath'], str) or not isinstance(content['shapes'], list):
        raise InputError(f"{where}: 'imagePath' is not a text or 'shapes' not a list; save it with LabelMe again")
    image = path.parent / content['imagePath'].replace('\\', '/')
    size = _image_size(content, image, where)
    try:
        file_name = image.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        raise InputError(f"{where}: its image {shown_name(content['imagePath'])} is not in {shown_name(str(root))}; "
                         'name the folder that holds both') from None
    image_id = document.add_image(file_name, size, where)
    groups: dict[tuple, list[np.ndarray]] = {}
    for number, shape in enumerate(content['shapes']):
        place = f'{where}: shapes[{number}]'
        if not isinstance(shape, dict):
            raise InputError(f'{place} is a {type(shape).__name__}, not an object; save it with LabelMe again')
        kind = shape.get('shape_type') or 'polygon'
        if not isinstance(kind, str) or kind not in POINTS:
            document.drop(f'of the kind {shown(kind)}')
            continue
        mask = _draw(kind, shape, size, place)
        if mask is None:
            document.drop(f'{kind}s with too few points')
            continue
        group = shape.get('group_id')
        key = (str(shape.get('label')), number if group is None else f'group {group!r}')
        if not isinstance(shape.get('label'), str):
            raise InputError(f"{place}: its label is {shown(shape.get('label'))}, not a text; correct it")
        groups.setdefault(key, []).append(mask)
    for (label, _), masks in groups.items():
        document.add(image_id, label, np.any(masks, axis=0), where, shapes=len(masks))


def _image_size(content: dict[str, Any], image: Path, where: str) -> tuple[int, int]:
    """Return the (h, w) of a file's image, from the image itself where it is there."""
    stated = tuple(content.get(key) for key in ('imageHeight', 'imageWidth'))
    if image.is_file():
        size = upright_size(image)
        if None not in stated and stated != size:
            raise InputError(f'{where}: imageHeight and imageWidth are {stated} but its image is {size}; use the image '
                             'that was labelled')
        return size
    if not all(type(side) is int for side in stated):
        raise MissingFileError(f'{where}: its image {shown_name(str(image))} does not exist, and the file has no '
                               'imageHeight and imageWidth; put the image there')
    return stated  # type: ignore[return-value]


def _draw(kind: str, shape: dict[str, Any], size: tuple[int, int], where: str) -> np.ndarray | None:
    """Return a shape's mask (h, w) bool, None where it has too few points."""
    points = check_points(shape.get('points'), size, where)
    least, more = POINTS[kind]
    # Newer files have the four corners of a box.
    if len(points) < least or (len(points) > least and not more and (kind, len(points)) != ('rectangle', 4)):
        return None
    if kind == 'mask':
        return _paste(shape.get('mask'), points, size, where)
    if kind == 'polygon':
        return draw_by_pillow(points, size)
    canvas = PIL.Image.new('L', size[::-1])
    draw = ImageDraw.Draw(canvas)
    if kind == 'circle':
        (x, y), edge = points.tolist()
        radius = float(np.hypot(edge[0] - x, edge[1] - y))
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)
    else:
        low, high = points.min(axis=0), points.max(axis=0)
        draw.rectangle([*low.tolist(), *high.tolist()], outline=1, fill=1)
    return np.asarray(canvas, dtype=bool)


def _paste(encoded: object, points: np.ndarray, size: tuple[int, int], where: str) -> np.ndarray:
    """Return the mask of a PNG in base64 at its box (x0, y0), (x1, y1), both included."""
    try:
        content = base64.b64decode(encoded, validate=True)  # type: ignore[arg-type]
        with PIL.Image.open(io.BytesIO(content), formats=('PNG', )) as image:
            (x0, y0), (x1, y1) = np.rint(points).astype(int).tolist()
            if image.size != (x1 - x0 + 1, y1 - y0 + 1) or min(x0, y0) < 0 or x1 >= size[1] or y1 >= size[0]:
                raise InputError(f'{where}: its mask is {image.size} pixels (width, height) but its box goes from '
                                 f'{x0}, {y0} to {x1}, {y1}; save it with LabelMe again')
            piece = np.asarray(image.convert('L')) > 0
    except (TypeError, binascii.Error, OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f'{where}: its mask is not a PNG in base64 ({error}); save it with LabelMe again') from None
    mask = np.zeros(size, dtype=bool)
    mask[y0:y1 + 1, x0:x1 + 1] = piece
    return mask
