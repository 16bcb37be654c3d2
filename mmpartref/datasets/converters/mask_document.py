"""Builder of a COCO json from pixel masks, and readers of mask files."""
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.standard_json import AS_PUBLISHED, Document, field
from mmpartref.errors import FileReadError, InputError, MissingFileError, MMPartRefError
from mmpartref.files.plain_file import open_plain_file, read_plain_file
from mmpartref.masks.rle import rle_from_segmentation
from mmpartref.text import has_words, shown, shown_name, text_fault

# Formats of label maps, masks and images; Pillow runs a program for some of the others.
FORMATS = ('PNG', 'JPEG', 'TIFF', 'BMP', 'GIF', 'PPM', 'WEBP')
PNG = b'\x89PNG\r\n\x1a\n'
# Of the colour types of a PNG.
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of usual file systems.
MAX_NAME_BYTES = 255


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
        """Add an image of ``height`` x ``width`` pixels; ids are not checked."""
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
                'area': area, 'bbox': coco_mask.toBbox(rle).tolist(), 'iscrowd': 0, **keys})
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
    """Return a published annotation's mask as a compressed RLE, or None for a polygon without a ring of three points.

    Args:
        record: the annotation.
        size: the image's (h, w).
        where: file and record, for the message.

    Raises:
        InputError: the segmentation is missing or cannot be read.
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
        InputError: it is damaged, is a colour image, or has another size, too few bits or an unknown label.
    """
    # Pillow returns the labels of a palette image; OpenCV returns the palette's colours.
    labels, name = _read_pixels(path, np.asarray), shown_name(str(path))
    if labels.ndim != 2 or labels.dtype.kind not in 'iu':
        raise InputError(f'{name} has shape {labels.shape} of {labels.dtype}, but a label map has one channel of '
                         f'numbers; {AS_PUBLISHED}')
    if labels.shape != size:
        raise InputError(f'{name} is {labels.shape} (height, width), but {size_source} is {size}; unpack both again')
    if ignored > np.iinfo(labels.dtype).max:
        raise InputError(f'{name} has {8 * labels.itemsize} bits for each pixel, but its labels go to {ignored}; '
                         f'{AS_PUBLISHED}')
    known = ((labels >= 0) & (labels < classes)) | (labels == ignored)
    if not known.all():
        raise InputError(f'{name} has the label {int(labels[~known][0])}, but there are 0 to {classes - 1} and '
                         f'{ignored}; {AS_PUBLISHED}')
    return labels


def read_grey(path: Path, indices: bool = False) -> np.ndarray:
    """Return the values (h, w) of an image file with one channel, several equal ones, or a palette.

    Args:
        indices: return the indices of a palette image, not its colours.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is damaged, or has colours or transparent pixels.
    """
    pixels, name = _read_pixels(path, np.asarray if indices else _colours), shown_name(str(path))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] in (2, 4):
        if (pixels[..., -1] != 255).any():
            raise InputError(f'{name} is not a mask: it has transparent pixels; {AS_PUBLISHED}')
        pixels = pixels[..., :-1]
    if (pixels != pixels[..., :1]).any():
        raise InputError(f'{name} is not a mask: it has colours; {AS_PUBLISHED}')
    return pixels[..., 0]


def _colours(image: Image.Image) -> np.ndarray:
    """Return the pixels, of a palette image their colours."""
    palette = image.mode in ('P', 'PA') or 'transparency' in image.info
    return np.asarray(image.convert('RGBA') if palette else image)


def image_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) in an image file's header; raises as ``read_label_map`` for a damaged file."""
    with _image_errors(path), open_plain_file(path) as file, Image.open(file, formats=FORMATS) as image:
        return image.height, image.width


def upright_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) of an image after the rotation by its EXIF orientation; raises as ``image_size``."""
    with _image_errors(path), open_plain_file(path) as file, Image.open(file, formats=FORMATS) as image:
        # 5 to 8 exchange the sides.
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def _read_pixels(path: Path, convert: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    with _image_errors(path):
        content = read_plain_file(path)
        if content.startswith(PNG):
            _check_png(content)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return convert(image)


def _check_png(content: bytes) -> None:
    """Check the length and checksum of each chunk of a PNG, and that no row is missing; Pillow checks neither."""
    place, pixels = len(PNG), b''
    while place < len(content):
        length, = struct.unpack_from('>I', content, place)
        checksum, = struct.unpack_from('>I', content, place + 8 + length)
        if zlib.crc32(content[place + 4:place + 8 + length]) != checksum:
            raise ValueError(f'a wrong checksum at byte {place:,}')
        kind = content[place + 4:place + 8]
        if kind == b'IDAT':
            pixels += content[place + 8:place + 8 + length]
        if kind == b'IEND':
            _check_rows(content, pixels)
            return
        place += 12 + length
    raise ValueError('no end')


def _check_rows(content: bytes, pixels: bytes) -> None:
    """Check that the compressed pixels of a PNG that is not interlaced have the bytes of all its rows."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from('>IIBBBBB', content, len(PNG) + 8)
    if interlaced or colour not in CHANNELS:
        return
    row = 1 + (width * depth * CHANNELS[colour] + 7) // 8
    if len(zlib.decompressobj().decompress(pixels, row * height)) < row * height:
        raise ValueError(f'fewer than its {height:,} rows')


@contextmanager
def _image_errors(path: Path) -> Iterator[None]:
    """Raise one of our errors in place of one of Pillow's, which are of many types."""
    name = shown_name(str(path))
    try:
        yield
    except MissingFileError:
        raise MissingFileError(f'{name} does not exist; unpack the whole archive') from None
    except MMPartRefError:
        raise
    except Exception as error:
        reason = 'the format is unknown' if isinstance(error, Image.UnidentifiedImageError) else shown(str(error))[1:-1]
        reason = reason or type(error).__name__
        raise InputError(f'{name} is not a complete image ({reason}); unpack it again') from None


def file_in(folder: Path, stem: str, suffix: str, where: str) -> Path:
    """Return the path of a file that a record names by its stem.

    Raises:
        InputError: the stem is not the name of a file in the folder, but for example a path or too long for a name.
    """
    name = f'{stem}{suffix}'
    if (not has_words(stem.strip('.')) or Path(name).name != name or '\\' in stem or '\0' in stem
            or text_fault(stem) or len(name.encode()) > MAX_NAME_BYTES):
        raise InputError(f'{where}: {shown(stem)} is not the name of a file in {shown_name(str(folder))}; '
                         f'{AS_PUBLISHED}')
    return folder / name


def files_by_stem(folder: Path, suffix: str) -> tuple[dict[str, Path], int]:
    """Return the files of a folder with a suffix, by stem and sorted, and the number of hidden ones, which are ignored.

    Hidden ones are for example those that macOS adds to an archive for each file: "._2008_000003.png".

    Raises:
        MissingFileError: the folder does not exist.
        InputError: two files have the same stem.
    """
    name = shown_name(str(folder))
    if not os.path.isdir(folder):
        raise MissingFileError(f'{name} is not a folder; unpack the whole archive')
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise FileReadError(f'{name} cannot be read ({error.strerror}); check its permissions') from None
    found: dict[str, Path] = {}
    hidden = 0
    for path in paths:
        if path.suffix.lower() != suffix:
            continue
        if path.name.startswith('.'):
            hidden += 1
        elif path.stem in found:
            raise InputError(f'{shown_name(str(path))} and {shown_name(found[path.stem].name)} differ only in their '
                             'suffix; remove one')
        else:
            found[path.stem] = path
    return found, hidden
