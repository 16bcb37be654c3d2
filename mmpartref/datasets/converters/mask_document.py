"""From masks of pixels to the json that ``PartReferDataset`` reads."""
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.standard_json import Document
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.plain_file import open_plain_file

# What macOS puts beside each file into an archive: "._2008_000003.png".
HIDDEN = '.'


class MaskDocument:
    """Collects photos and masks; numbers the annotations from 1.

    Args:
        source: the data set's name.
        categories: as ``category_records`` makes them.
    """

    def __init__(self, source: str, categories: list[dict]) -> None:
        self.source = source
        self.categories = categories
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add_photo(self, image_id: int | str, file_name: str, height: int, width: int) -> None:
        """Add a photo, its size in pixels."""
        self.images.append({'id': image_id, 'file_name': file_name, 'height': height, 'width': width})

    def add(self, image_id: int | str, category_id: int, mask: np.ndarray, **more: Any) -> bool:
        """Add an annotation, unless its mask is empty; returns whether it was added.

        Args:
            image_id, category_id: of what.
            mask: (h, w), not 0 where it is.
            more: other keys.
        """
        area = int(np.count_nonzero(mask))
        if area:
            rle = coco_mask.encode(np.asfortranarray(mask != 0, dtype=np.uint8))
            self.annotations.append({
                'id': len(self.annotations) + 1, 'image_id': image_id, 'category_id': category_id,
                'segmentation': {'size': [int(side) for side in rle['size']], 'counts': rle['counts'].decode('ascii')},
                'area': area, 'iscrowd': 0, **more})
        return area > 0

    def document(self, **more: Any) -> Document:
        """Return the json, with other sections beside the usual ones."""
        return {'info': {'source': self.source}, 'images': self.images, 'annotations': self.annotations,
                'categories': self.categories, **more}


def category_records(names: Iterable[tuple[str, str, str]], first: int = 0) -> list[dict]:
    """Return categories, numbered from ``first``, of (name as published, object in words, part in words)."""
    return [{'id': number, 'name': name, 'supercategory': plain(owner), 'part': plain(part)}
            for number, (name, owner, part) in enumerate(names, start=first)]


def read_label_map(path: Path, size: tuple[int, int], whose: object, classes: int, ignored: int) -> np.ndarray:
    """Return the labels (h, w) of a picture of one channel, 8 or 16 bits deep.

    Args:
        path: of the picture.
        size: the photo's (height, width), and whose: what says so, for the complaint.
        classes: labels are 0 to so many - 1, or ``ignored``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, has colours, another size or another label.
    """
    labels = _read(path)
    if labels.ndim != 2 or labels.dtype == bool:
        raise InputError(f'{path} has shape {labels.shape} of {labels.dtype}, but a label map has one channel of '
                         'numbers; use the file as it was published')
    if labels.shape != size:
        raise InputError(f'{path} is {labels.shape} (height, width), but {whose} says {size}; unpack both again')
    known = (labels < classes) | (labels == ignored)
    if not known.all():
        raise InputError(f'{path} has the label {int(labels[~known][0])}, but there are 0 to {classes - 1} and '
                         f'{ignored}; use the file as it was published')
    return labels


def read_binary_mask(path: Path) -> np.ndarray:
    """Return a mask (h, w), bool, from a picture of black and white, one channel or three equal ones.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or has other colours.
    """
    pixels = _read(path)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]
    if pixels.dtype == bool:
        return pixels[..., 0]
    if not np.isin(pixels, (0, 255)).all() or (pixels != pixels[..., :1]).any():
        raise InputError(f'{path} is no mask: a pixel is neither black (0) nor white (255); use the file as it was '
                         'published')
    return pixels[..., 0] == 255


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        raise MissingFileError(f'{path} is no file; unpack the whole archive')
    try:
        # Pillow leaves the labels of a palette image alone; OpenCV would turn them into colours.
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f'{path} is no whole picture ({error}); unpack it again') from None


def photo_size(path: Path) -> tuple[int, int]:
    """Return a photo's (height, width) from its header.

    Raises:
        ValueError: it is no picture.
    """
    try:
        with open_plain_file(path) as file, Image.open(file) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f'{path} is no picture ({error}); unpack it again') from None


def files_of(folder: Path, suffixes: tuple[str, ...]) -> tuple[dict[str, Path], int]:
    """Return a folder's files of these suffixes by stem, sorted, and how many hidden ones were passed over.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: two files have one stem.
    """
    if not folder.is_dir():
        raise MissingFileError(f'{folder} is no folder; unpack the whole archive')
    found: dict[str, Path] = {}
    hidden = 0
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes:
            continue
        if path.name.startswith(HIDDEN):
            hidden += 1
        elif path.stem in found:
            raise InputError(f'{path} and {found[path.stem].name} have the same name but for the suffix; remove one')
        else:
            found[path.stem] = path
    return found, hidden
