"""Decoding of image files, and the check of their size against the dataset's."""
import io
import warnings

import cv2
import mmcv
import numpy as np
from PIL import Image

from mmpartref.errors import BadImageError

try:
    import simplejpeg
except ImportError:  # Of the extra `jpeg`.
    simplejpeg = None

JPEG_START, JPEG_SCAN, JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
JPEG_PROGRESSIVE = b'\xff\xc2'
# pixels: side of a JPEG's blocks.
BLOCK = 8
PNG_START, PNG_DATA, PNG_END = b'\x89PNG', b'IDAT', b'IEND'


def truncated_format(content: bytes) -> str:
    """Return 'JPEG' or 'PNG' for such a file without its end marker, else ''; bytes after the end are allowed."""
    # JPEG escapes 0xff in entropy-coded data, so an end marker after the last scan marker is real.
    for start, data, end, kind in ((JPEG_START, JPEG_SCAN, JPEG_END, 'JPEG'), (PNG_START, PNG_DATA, PNG_END, 'PNG')):
        if content.startswith(start) and content.rfind(end) < content.rfind(data):
            return kind
    return ''


def decode_image(content: bytes, img_path: str) -> np.ndarray:
    """Decode an image file to RGB uint8 (h, w, 3), rotated by its EXIF orientation.

    Raises:
        BadImageError: ``content`` is not an image, or a truncated JPEG or PNG, whose missing rows OpenCV 4 fills with
            grey; or, if simplejpeg is installed, a JPEG with its end marker but not all of its data.
    """
    if kind := truncated_format(content):
        raise BadImageError(f'{img_path} is truncated: a {kind} without its end marker after {len(content):,} bytes; '
                            'download it again')
    try:
        img = mmcv.imfrombytes(content, flag='color', channel_order='rgb', backend='cv2')
    except cv2.error:
        img = None
    if img is not None and is_incomplete(content, img):
        raise BadImageError(f'{img_path} is incomplete: its JPEG data end before its last row; download it again')
    if img is None:
        reason = f'{len(content):,} bytes' if content else 'it is empty'
        raise BadImageError(f'{img_path} cannot be decoded as an image ({reason}); download it again')
    return img


def may_be_incomplete(content: bytes, img: np.ndarray) -> bool:
    """Return whether a JPEG with its end marker may lack a part of its data.

    Decoders fill what is missing, which includes the last block, with one colour; a progressive JPEG only loses detail.

    Args:
        content: the file.
        img: the same, decoded and perhaps rotated, (h, w, 3).
    """
    if not content.startswith(JPEG_START):
        return False
    # What is visible of the last block, in whichever corner a rotation puts it.
    side = min((length - 1) % BLOCK + 1 for length in img.shape[:2])
    ends = slice(None, side), slice(-side, None)
    corners = [img[rows, columns] for rows in ends for columns in ends]
    return JPEG_PROGRESSIVE in content or any((corner == corner[0, 0]).all() for corner in corners)


def is_incomplete(content: bytes, img: np.ndarray) -> bool | None:
    """Return whether a JPEG with its end marker lacks a part of its data; arguments as ``may_be_incomplete``.

    None where it may, and simplejpeg, whose decoder reports it, is not installed.
    """
    if not may_be_incomplete(content, img):
        return False
    if simplejpeg is None:
        return None
    try:
        simplejpeg.decode_jpeg(content, strict=True)
    except ValueError as error:
        # Other complaints, such as bytes between two segments, concern files that are whole.
        return 'premature end' in str(error).lower()
    return False


def check_header_size(content: bytes, expected: tuple[int, int], img_path: str) -> None:
    """Check the image size in a file's header before memory for the pixels is allocated.

    A file of some kilobytes can declare an image of gigabytes (a decompression bomb). A header that Pillow cannot read
    passes; the decoder reports it.

    Args:
        content: the file.
        expected: (h, w) in the json.
        img_path: for the message.

    Raises:
        BadImageError: height and width differ from the json's, in either order.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            width, height = Image.open(io.BytesIO(content)).size
    except Image.DecompressionBombError as error:
        raise BadImageError(f'{img_path} declares more pixels than Pillow opens ({error}) but the json has '
                            f'{expected[0]} x {expected[1]}; use the image that was annotated') from None
    except Exception:  # Pillow raises errors of many types on damaged files
        return
    if (height, width) != expected and (width, height) != expected:
        raise wrong_size(img_path, (height, width), expected)


def wrong_size(img_path: str, found: tuple[int, int], expected: tuple[int, int]) -> BadImageError:
    """Return the error for an image of size ``found`` (h, w) where the json has ``expected``."""
    hint = ' (rotated by its EXIF orientation?)' if found[::-1] == expected else ''
    return BadImageError(f'{img_path} is {found[0]} x {found[1]} pixels (height x width){hint} but the json has '
                         f'{expected[0]} x {expected[1]}; use the image that was annotated, or correct the json')
