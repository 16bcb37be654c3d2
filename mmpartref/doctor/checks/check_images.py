"""Photo files."""
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmpartref.datasets.coco.check_masks import PhotoRecord
from mmpartref.datasets.coco.findings import Notebook
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import bare
from mmpartref.doctor.layout import PHOTO_LAYOUTS, FileIndex
from mmpartref.errors import NotPlainFileError
from mmpartref.files.plain_file import read_plain_file
from mmpartref.images.decode_image import JPEG_END, JPEG_SCAN, JPEG_START, decode_photo

PNG_START, PNG_END = b'\x89PNG', b'IEND'
# EXIF tag; 1 is upright, 5 to 8 swap height and width.
ORIENTATION, UPRIGHT, SWAPPED = 0x0112, 1, (5, 6, 7, 8)


@dataclass(frozen=True)
class PhotoHeader:
    """What a photo file says before it is decoded; height and width as they are once it is turned upright."""
    mode: str
    height: int
    width: int
    orientation: int


def read_header(content: bytes) -> PhotoHeader | None:
    """Return the header, or None where Pillow cannot read it."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            orientation = image.getexif().get(ORIENTATION, UPRIGHT)
            width, height = image.size[::-1] if orientation in SWAPPED else image.size
            return PhotoHeader(image.mode, height, width, orientation)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def is_cut_off(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end, which decoders fill in without a word."""
    if content.startswith(JPEG_START):
        return content.rfind(JPEG_END) < content.rfind(JPEG_SCAN)
    return content.startswith(PNG_START) and PNG_END not in content[-16:]


def locate(photo: PhotoRecord, layout: str, index: FileIndex, elsewhere: list[FileIndex],
           notebook: Notebook) -> tuple[Path, bool]:
    """Return where a photo is, or should be if it is nowhere, and whether the data set finds it there."""
    path = PHOTO_LAYOUTS[layout](photo.file_name)
    if path in index.paths:
        return index.folder / path, True
    name = bare(photo.file_name)
    places = [other.folder / found for other in (index, *elsewhere) for found in other.by_name.get(name, [])]
    if not places:
        notebook.add('missing-photo', photo.record, file=index.folder / path)
        return index.folder / path, False
    notebook.add('misplaced-photo', photo.record, f'the data set looks for it here; it is '
                 f'{notebook.findings.name(places[0])}', index.folder / path)
    return places[0], False


def check_photo(photo: PhotoRecord, path: Path, notebook: Notebook, *, decode: bool) -> bytes | None:
    """Examine a photo file, which is read once and decoded at most once.

    Returns:
        SHA-256 of its size and decoded pixels, or of the file where ``decode`` is false; None where it is damaged.
    """
    try:
        content = read_plain_file(path, 'it')
    except NotPlainFileError as error:
        notebook.add('unreadable-photo', photo.record, str(error) if path.is_file() else 'it is no plain file', path)
        return None
    except OSError as error:
        notebook.add('unreadable-photo', photo.record, str(error), path)
        return None
    if not content:
        notebook.add('empty-photo', photo.record, file=path)
        return None
    if is_cut_off(content):
        notebook.add('truncated-photo', photo.record, f'no end after {len(content):,} bytes', path)
        return None
    header = read_header(content)
    if decode:
        try:
            pixels = decode_photo(content, notebook.findings.name(path))
        except ValueError:
            notebook.add('unreadable-photo', photo.record, f'no image ({len(content):,} bytes)', path)
            return None
        size = (pixels.shape[0], pixels.shape[1])
        content_hash = hashlib.sha256(repr(size).encode())
        content_hash.update(np.ascontiguousarray(pixels).data)
        digest = content_hash.digest()
    elif header is None:
        notebook.add('unreadable-photo', photo.record, f'no image ({len(content):,} bytes)', path)
        return None
    else:
        size = (header.height, header.width)
        digest = hashlib.sha256(content).digest()
    turned = header is not None and header.orientation != UPRIGHT
    if size != (photo.height, photo.width):
        hint = ', turned by its EXIF orientation' if turned else ''
        notebook.add('wrong-photo-size', photo.record, f'it is {size[0]} x {size[1]} (height x width){hint}; the json '
                     f'says {photo.height} x {photo.width}', path)
    if header is not None and turned:
        notebook.add('exif-orientation', photo.record, f'EXIF orientation {header.orientation}', path)
    if header is not None and header.mode != 'RGB':
        notebook.add('not-rgb', photo.record, f'it is stored as {header.mode}', path)
    return digest
