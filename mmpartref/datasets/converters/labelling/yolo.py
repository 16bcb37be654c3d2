"""YOLO segmentation: ``data.yaml`` with the names, and a text file per image with a polygon per line.

Format: Ultralytics' documentation, "Instance Segmentation Datasets Overview": ``<class> <x1> <y1> <x2> <y2> ...``,
coordinates relative to the image's size.
"""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from mmpartref.argument_checks import check_path
from mmpartref.datasets.converters.labelling.label_document import SEPARATOR, LabelDocument, LabelNames
from mmpartref.datasets.converters.mask_document import upright_size
from mmpartref.datasets.converters.standard_json import Document
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.plain_file import read_text
from mmpartref.images.read_image import SUFFIXES
from mmpartref.masks.outlines import draw_by_opencv
from mmpartref.text import shown, shown_name

SOURCE = 'YOLO'
# Numbers of a line: class and box, and the least of class and polygon.
BOX, LEAST = 5, 7
# Rounding of coordinates beyond the image.
MARGIN = 1e-3


def convert_yolo(folder: str | Path, objects: Sequence[str] = (), separator: str = SEPARATOR,
                 images: str | Path | None = None) -> tuple[dict[str, Document], list[str]]:
    """Return the json of a dataset by the folder's name, and lines with counts.

    A line becomes an annotation; lines with a box instead of a polygon are dropped. ``file_name`` is the image's path
    below the folder of the images.

    Args:
        folder: with ``data.yaml`` and ``labels``, which is searched with all folders in it.
        objects, separator: see ``LabelNames``.
        images: folder with the same folders in it as ``labels``; default: ``images`` next to it.
    """
    root = Path(check_path(folder, 'folder'))
    pictures = root / 'images' if images is None else Path(check_path(images, 'images'))
    labels = root / 'labels'
    for path, what in ((labels, 'text files'), (pictures, 'images')):
        if not path.is_dir():
            raise MissingFileError(f'{shown_name(str(path))} is not a folder; name that of the {what}')
    names = read_names(root / 'data.yaml')
    document = LabelDocument(SOURCE, LabelNames(objects, separator))
    found = {path.relative_to(pictures).with_suffix('').as_posix(): path for path in sorted(pictures.rglob('*'))
             if path.suffix.lower() in SUFFIXES}
    unlabelled = set(found)
    for path in sorted(labels.rglob('*.txt')):
        stem = path.relative_to(labels).with_suffix('').as_posix()
        if stem not in found:
            raise MissingFileError(f'{shown_name(str(path))} has no image {shown_name(str(pictures / stem))}.jpg or '
                                   'the like; name the folder of the images with --images')
        unlabelled.discard(stem)
        _add_file(document, path, names, found[stem].relative_to(pictures).as_posix(), upright_size(found[stem]))
    content, lines = document.finish()
    return {root.resolve().name or 'yolo': content}, [*lines, f'{len(unlabelled):,} images without a text file']


def read_names(path: Path) -> dict[int, str]:
    """Return the names of a ``data.yaml`` by number.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not a YAML with ``names``, a list or a dict from numbers to texts.
    """
    name = shown_name(str(path))
    try:
        content = yaml.safe_load(read_text(str(path)))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f'{name} is not a YAML file: {" ".join(str(error).split())[:200]}') from None
    names = content.get('names') if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(
            type(key) is int and isinstance(value, str) for key, value in names.items()):
        raise InputError(f"{name}: 'names' is {shown(names)}, not a list of names; write one, in the order of the "
                         'numbers')
    return names


def _add_file(document: LabelDocument, path: Path, names: dict[int, str], file_name: str,
              size: tuple[int, int]) -> None:
    """Add the image and the lines of one text file."""
    where = shown_name(str(path))
    image_id = document.add_image(file_name, size, where)
    for number, line in enumerate(read_text(str(path)).splitlines(), 1):
        if not line.strip():
            continue
        place = f'{where}, line {number}'
        values = read_line(line, place)
        if int(values[0]) != values[0] or int(values[0]) not in names:
            raise InputError(f'{place}: its class is {values[0]:g}, which is not among the {len(names)} names; correct '
                             'it or data.yaml')
        if len(values) == BOX:
            document.drop('boxes')
            continue
        if len(values) < LEAST or len(values) % 2 == 0:
            raise InputError(f'{place} has {len(values)} numbers; a polygon is a class and at least three points x y')
        points = values[1:].reshape(-1, 2)
        if points.min() < -MARGIN or points.max() > 1 + MARGIN:
            raise InputError(f'{place} has the coordinate {points.max() if points.max() > 1 else points.min():g}; they '
                             'are relative to the image, 0 to 1')
        pixels = np.clip(points * size[::-1], 0, np.array(size[::-1]) - 1)
        document.add(image_id, names[int(values[0])], draw_by_opencv(pixels, size), place)


def read_line(line: str, where: str) -> np.ndarray:
    """Return the numbers of a line.

    Raises:
        InputError: one is not a finite number.
    """
    try:
        values = np.array([float(each) for each in line.split()])
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        raise InputError(f'{where} has something that is not a number: {shown(line.strip())}; correct it')
    return values
