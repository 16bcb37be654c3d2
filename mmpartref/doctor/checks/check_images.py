"""Checks of image files."""
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from mmpartref.datasets.coco.findings import SplitFindings
from mmpartref.datasets.coco.records import Image
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import IMAGE_LAYOUTS, base_name
from mmpartref.doctor.layout import FileIndex
from mmpartref.errors import BadImageError, NotPlainFileError
from mmpartref.files.plain_file import read_plain_file
from mmpartref.images.decode_image import decode_image, is_incomplete, truncated_format

# EXIF tag; 1 is upright, 5 to 8 swap height and width.
ORIENTATION, UPRIGHT, SWAPPED = 0x0112, 1, (5, 6, 7, 8)


@dataclass(frozen=True)
class ImageHeader:
    """Header of an image file; height and width are those after its EXIF rotation."""
    mode: str
    height: int
    width: int
    orientation: int


def read_header(content: bytes) -> ImageHeader | None:
    """Return the header, or None where Pillow cannot read it."""
    try:
        with PIL.Image.open(io.BytesIO(content)) as image:
            orientation = image.getexif().get(ORIENTATION, UPRIGHT)
            width, height = image.size[::-1] if orientation in SWAPPED else image.size
            return ImageHeader(image.mode, height, width, orientation)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return None


def locate(image: Image, layout: str, index: FileIndex, others: list[FileIndex],
           findings: SplitFindings) -> tuple[Path, bool]:
    """Return where an image is, or should be if it does not exist, and whether the dataset finds it there."""
    # As the dataset joins folder and name: '..' and absolute names are allowed.
    path = index.folder / IMAGE_LAYOUTS[layout](image.file_name)
    if os.path.exists(path):
        return Path(os.path.normpath(path)), True
    name = base_name(image.file_name)
    places = [other.folder / found for other in (index, *others) for found in other.by_name.get(name, [])]
    if not places:
        findings.add('missing-image', f'image {image.img_id}', file=path)
        return path, False
    findings.add('misplaced-image', f'image {image.img_id}', 'the dataset looks for it here; it is '
                 f'{findings.findings.name(places[0])}', path)
    return places[0], False


def check_image(image: Image, path: Path, findings: SplitFindings, *, decode: bool) -> bytes | None:
    """Check an image file, which is read once and decoded at most once.

    Returns:
        SHA-256 of its size and decoded pixels, or of the file where ``decode`` is false; None where it is damaged.
    """
    record = f'image {image.img_id}'
    try:
        content = read_plain_file(path, 'it')
    except NotPlainFileError as error:
        findings.add('unreadable-image', record, str(error) if path.is_file() else 'it is not a plain file', path)
        return None
    except OSError as error:
        findings.add('unreadable-image', record, str(error), path)
        return None
    if not content:
        findings.add('empty-image', record, file=path)
        return None
    if kind := truncated_format(content):
        findings.add('truncated-image', record, f'a {kind} without its end after {len(content):,} bytes', path)
        return None
    header = read_header(content)
    digest = None
    # A small file may declare gigabytes of pixels, so that only images of the expected size are decoded.
    if decode and (header is None or {header.height, header.width} == {image.height, image.width}):
        try:
            pixels = decode_image(content, findings.findings.name(path))
        except BadImageError:
            pixels = None
        if pixels is not None:
            if is_incomplete(content, pixels) is None:
                findings.add('unverified-image', record, file=path)
            size = (pixels.shape[0], pixels.shape[1])
            content_hash = hashlib.sha256(repr(size).encode())
            content_hash.update(np.ascontiguousarray(pixels).data)
            digest = content_hash.digest()
    elif header is not None:
        size = (header.height, header.width)
        digest = hashlib.sha256(content).digest()
    if digest is None:
        findings.add('unreadable-image', record, f'it cannot be decoded as an image ({len(content):,} bytes)', path)
        return None
    rotated = header is not None and header.orientation != UPRIGHT
    if size != (image.height, image.width):
        hint = ', rotated by its EXIF orientation' if rotated else ''
        findings.add('wrong-image-size', record, f'it is {size[0]} x {size[1]} (height x width){hint}; the json has '
                     f'{image.height} x {image.width}', path)
    if header is not None and rotated:
        findings.add('exif-orientation', record, f'EXIF orientation {header.orientation}', path)
    if header is not None and header.mode != 'RGB':
        findings.add('not-rgb', record, f'it is stored as {header.mode}', path)
    return digest
