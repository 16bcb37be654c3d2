"""Reading a photo."""
import io
import warnings

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmpartref.files.plain_file import NotPlainFileError, read_any_file
from mmpartref.registry import TRANSFORMS
from mmpartref.text import shown

JPEG_START, JPEG_SCAN, JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
PNG_START, PNG_DATA, PNG_END = b'\x89PNG', b'IDAT', b'IEND'
# Grey levels 0..255 of what stands for a photo that cannot be read.
GREY = 128


class BadPhotoError(ValueError):
    """A photo cannot be used; the sentence names its file and, where it comes from a json, its record there."""


class MissingPhotoError(BadPhotoError, FileNotFoundError):
    """There is no such photo."""


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


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``img``, RGB uint8 (h, w, 3), and ``ori_shape`` (h, w).

    Where the results say ``on_bad_sample='skip'``, a photo that cannot be used becomes a grey one of the json's size
    and ``skipped`` says why: the later transforms run as for any photo, and draw as many random numbers.

    Raises:
        MissingPhotoError: there is no such file; also a FileNotFoundError.
        BadPhotoError: it is not a plain file, cannot be read or decoded, or its size is not the ``height`` and
            ``width`` of the json, whose masks would then lie elsewhere; a ValueError.
    """

    def transform(self, results: dict) -> dict:
        """Add ``img`` and ``ori_shape``."""
        try:
            img = self._read(results)
        except BadPhotoError as error:
            if results.get('on_bad_sample') != 'skip':
                raise
            results['skipped'] = str(error)
            img = np.full((results['height'], results['width'], 3), GREY, dtype=np.uint8)
        results['img'] = img
        results['ori_shape'] = img.shape[:2]
        return results

    @staticmethod
    def _read(results: dict) -> np.ndarray:
        img_path = results['img_path']
        # A photo of a json is a record there.
        where = f"{img_path} (image {shown(results['img_id'])})" if 'img_id' in results else img_path
        try:
            content = read_any_file(img_path, f'photo {where}')
        except FileNotFoundError:
            raise MissingPhotoError(f'photo {where} does not exist; set data_root and data_prefix to where the photos '
                                    'lie') from None
        except NotPlainFileError as error:
            raise BadPhotoError(str(error)) from None
        except OSError as error:
            raise BadPhotoError(f'photo {where} cannot be read: {error.strerror or error}') from None
        expected = (results['height'], results['width']) if 'height' in results else None
        if expected is not None:
            check_announced_size(content, expected, where)
        img = decode_photo(content, where)
        if expected is not None and img.shape[:2] != expected:
            raise wrong_size(where, img.shape[:2], expected)
        return img
