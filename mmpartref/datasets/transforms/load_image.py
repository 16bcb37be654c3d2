"""Reading a photo."""
import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from mmpartref.registry import TRANSFORMS

JPEG_START, JPEG_SCAN, JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'


def decode_photo(content: bytes, img_path: str) -> np.ndarray:
    """Decode an image file into RGB uint8 (h, w, 3), turned as its EXIF orientation says.

    Raises:
        ValueError: it is no image, or a JPEG that was cut off, whose missing rows OpenCV 4 fills with grey.
    """
    # In JPEG's entropy-coded data 0xff is always escaped, so an end marker behind the last scan is one.
    if content.startswith(JPEG_START) and content.rfind(JPEG_END) < content.rfind(JPEG_SCAN):
        raise ValueError(f'{img_path} is cut off: a JPEG without its end after {len(content):,} bytes; download it '
                         'again')
    try:
        img = mmcv.imfrombytes(content, flag='color', channel_order='rgb', backend='cv2')
    except cv2.error:
        img = None
    if img is None:
        raise ValueError(f'{img_path} cannot be decoded as an image ({len(content):,} bytes); download it again')
    return img


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``img``, RGB uint8 (h, w, 3), and ``ori_shape`` (h, w).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be decoded, or its size is not the ``height`` and ``width`` of the json, whose masks would
            then lie elsewhere.
    """

    def transform(self, results: dict) -> dict:
        """Add ``img`` and ``ori_shape``."""
        img_path = results['img_path']
        try:
            content = fileio.get(img_path)
        except FileNotFoundError:
            raise FileNotFoundError(f'photo {img_path} does not exist; set data_root and data_prefix to where the '
                                    'photos lie') from None
        img = decode_photo(content, img_path)
        height, width = img.shape[:2]
        expected = (results.get('height', height), results.get('width', width))
        if (height, width) != expected:
            hint = ' (turned by its EXIF orientation?)' if (width, height) == expected else ''
            raise ValueError(f'{img_path} is {height} x {width} pixels (height x width){hint} but the json says '
                             f'{expected[0]} x {expected[1]}; use the photo that was annotated, or correct the json')
        results['img'] = img
        results['ori_shape'] = (height, width)
        return results
