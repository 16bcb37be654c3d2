"""Reading a photo."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmpartref.errors import BadPhotoError, MissingPhotoError, NotPlainFileError
from mmpartref.files.plain_file import read_any_file
from mmpartref.images.decode_image import check_announced_size, decode_photo, wrong_size
from mmpartref.registry import TRANSFORMS
from mmpartref.text import shown

# Grey levels 0..255 of what stands for a photo that cannot be read.
GREY = 128


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
