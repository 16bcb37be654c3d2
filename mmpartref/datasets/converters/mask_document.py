"""Builder of a COCO json from pixel masks, and readers of mask files."""
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.standard_json import AS_PUBLISHED, Document, field
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.plain_file import open_plain_file
from mmpartref.masks.rle import rle_from_segmentation


class MaskDocument:
    """Collects images and masks; numbers the annotations from 1.

    Args:
        source: name of the dataset.
        categories: see ``category_records``.
    """

    def __init__(self, source: str, categories: list[dict]) -> None:
        self.source = source
        self.categories = categories
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add_image(self, image_id: int | str, file_name: str, height: int, width: int) -> None:
        """Add an image; its size in pixels."""
        self.images.append({'id': image_id, 'file_name': file_name, 'height': height, 'width': width})

    def add_mask(self, image_id: int | str, category_id: int, mask: np.ndarray, **keys: Any) -> bool:
        """Add an annotation, unless its mask is empty; returns whether it was added.

        Args:
            mask: (h, w), not 0 inside.
            **keys: other keys of the annotation.
        """
        area = int(np.count_nonzero(mask))
        if area:
            rle = coco_mask.encode(np.asfortranarray(mask != 0, dtype=np.uint8))
            self.annotations.append({
                'id': len(self.annotations) + 1, 'image_id': image_id, 'category_id': category_id,
                'segmentation': {'size': [int(side) for side in rle['size']], 'counts': rle['counts'].decode('ascii')},
                'area': area, 'iscrowd': 0, **keys})
        return area > 0

    def to_json(self, **sections: Any) -> Document:
        """Return the json; ``sections`` are added to COCO's."""
        return {'info': {'source': self.source}, 'images': self.images, 'annotations': self.annotations,
                'categories': self.categories, **sections}


def category_records(names: Iterable[tuple[str, str, str]]) -> list[dict]:
    """Return categories, numbered from 0, of (published name, object in words, part in words)."""
    return [{'id': number, 'name': name, 'supercategory': plain(owner), 'part': plain(part)}
            for number, (name, owner, part) in enumerate(names)]


def label_categories(parts: Mapping[str, str], words: Mapping[str, str]) -> list[dict]:
    """Return the categories of OV-PARTS, named "bed's leg"; their ids are the labels.

    Args:
        parts: of each object, separated by commas.
        words: for an object, where they differ from its name.
    """
    return category_records((f"{owner}'s {part}", words.get(owner, owner), part) for owner, names in parts.items()
                            for part in names.split(', '))


def annotation_rle(record: dict, size: tuple[int, int], where: str) -> dict | None:
    """Return a published annotation's mask as a compressed RLE, or None for a polygon without a ring.

    ``size`` is the image's (h, w), ``where`` file and record for the message of an ``InputError``.
    """
    segmentation = field(record, 'segmentation', object, where)
    try:
        return rle_from_segmentation(segmentation, *size)[0]
    except ValueError as error:
        raise InputError(f'{where}: {error}') from None


def read_label_map(path: Path, size: tuple[int, int], size_source: object, classes: int, ignored: int) -> np.ndarray:
    """Return the labels (h, w) of an image file with one channel of 8 or 16 bits.

    Args:
        size: the expected (height, width).
        size_source: file or record that gives the size, for the message.
        classes: valid labels are 0 to ``classes - 1``, and ``ignored``.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is damaged, is a colour image, or has another size or an unknown label.
    """
    labels = _read_pixels(path)
    if labels.ndim != 2 or labels.dtype == bool:
        raise InputError(f'{path} has shape {labels.shape} of {labels.dtype}, but a label map has one channel of '
                         f'numbers; {AS_PUBLISHED}')
    if labels.shape != size:
        raise InputError(f'{path} is {labels.shape} (height, width), but {size_source} is {size}; unpack both again')
    known = (labels < classes) | (labels == ignored)
    if not known.all():
        raise InputError(f'{path} has the label {int(labels[~known][0])}, but there are 0 to {classes - 1} and '
                         f'{ignored}; {AS_PUBLISHED}')
    return labels


def read_binary_mask(path: Path) -> np.ndarray:
    """Return a mask (h, w), bool, from a black and white image file of one channel or three equal ones.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is damaged, or has other colours.
    """
    pixels = _read_pixels(path)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]
    if pixels.dtype == bool:
        return pixels[..., 0]
    if not np.isin(pixels, (0, 255)).all() or (pixels != pixels[..., :1]).any():
        raise InputError(f'{path} is not a mask: a pixel is neither black (0) nor white (255); {AS_PUBLISHED}')
    return pixels[..., 0] == 255


def image_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) in an image file's header; raises as ``read_label_map`` for a damaged file."""
    with _open_image(path) as image:
        return image.height, image.width


def _read_pixels(path: Path) -> np.ndarray:
    """Read with Pillow, which returns the labels of a palette image; OpenCV returns the palette's colours."""
    with _open_image(path) as image:
        return np.asarray(image)


@contextmanager
def _open_image(path: Path) -> Iterator[Image.Image]:
    try:
        with open_plain_file(path) as file, Image.open(file) as image:
            yield image
    except FileNotFoundError:
        raise MissingFileError(f'{path} does not exist; unpack the whole archive') from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f'{path} is not a complete image ({error}); unpack it again') from None


def files_by_stem(folder: Path, suffix: str) -> tuple[dict[str, Path], int]:
    """Return the files of a folder with a suffix, by stem and sorted, and the number of hidden ones, which are ignored.

    Hidden ones are for example those that macOS adds to an archive for each file: "._2008_000003.png".

    Raises:
        MissingFileError: the folder does not exist.
        InputError: two files have the same stem.
    """
    if not folder.is_dir():
        raise MissingFileError(f'{folder} is not a folder; unpack the whole archive')
    found: dict[str, Path] = {}
    hidden = 0
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != suffix:
            continue
        if path.name.startswith('.'):
            hidden += 1
        elif path.stem in found:
            raise InputError(f'{path} and {found[path.stem].name} differ only in their suffix; remove one')
        else:
            found[path.stem] = path
    return found, hidden
