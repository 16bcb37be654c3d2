"""Decode an image file, and check its size against the dataset's."""
import io
import warnings

import cv2
import mmcv
import numpy as np
from PIL import Image

from mmpartref.errors import BadPhotoError

JPEG_START, JPEG_SCAN, JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
PNG_START, PNG_DATA, PNG_END = b'\x89PNG', b'IDAT', b'IEND'


def decode_photo(content: bytes, img_path: str) -> np.ndarray:
    """Decode an image file into RGB uint8 (h, w, 3), turned as its EXIF orientation says.

    Raises:
        BadPhotoError: it is no image, or a JPEG or PNG that was cut off, whose missing rows OpenCV 4 fills with grey.
    """
    # In JPEG's entropy-coded data 0xff is always escaped, so an end marker behind the last scan is one.
    for start, data, end, kind in ((JPEG_START, JPEG_SCAN, JPEG_END, 'JPEG'), (PNG_START, PNG_DATA, PNG_END, 'PNG')):
        if content.startswith(start) and content.rfind(end) < content.rfind(data):
            raise BadPhotoError(f'{img_path} is cut off: a {kind} without its end after {len(content):,} bytes; '
                                'download it again')
    try:
        img = mmcv.imfrombytes(content, flag='color', channel_order='rgb', backend='cv2')
    except cv2.error:
        img = None
    if img is None:
        what = f'{len(content):,} bytes' if content else 'it is empty'
        raise BadPhotoError(f'{img_path} cannot be decoded as an image ({what}); download it again')
    return img


def check_announced_size(content: bytes, expected: tuple[int, int], img_path: str) -> None:
    """Refuse a file that announces far more pixels than the json, before anything makes room for them.

    A file of some kilobytes can announce a photo of gigabytes (a decompression bomb). What Pillow cannot read the
    head of is left to the decoder.

    Args:
        content: the file.
        expected: (h, w) of the json.
        img_path: for the message.

    Raises:
        BadPhotoError: height and width are not the json's, in either order.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            width, height = Image.open(io.BytesIO(content)).size
    except Image.DecompressionBombError as error:
        raise BadPhotoError(f'{img_path} announces more pixels than Pillow opens ({error}) but the json says '
                            f'{expected[0]} x {expected[1]}; use the photo that was annotated') from None
    except Exception:  # broken bytes trip Pillow in many ways; the decoder has the word on them
        return
    if {height, width} != set(expected):
        raise wrong_size(img_path, (height, width), expected)


def wrong_size(img_path: str, found: tuple[int, int], expected: tuple[int, int]) -> BadPhotoError:
    """Say that a photo is ``found`` (h, w) where the json says ``expected``."""
    hint = ' (turned by its EXIF orientation?)' if found[::-1] == expected else ''
    return BadPhotoError(f'{img_path} is {found[0]} x {found[1]} pixels (height x width){hint} but the json says '
                         f'{expected[0]} x {expected[1]}; use the photo that was annotated, or correct the json')
