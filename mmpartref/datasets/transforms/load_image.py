"""Loading of an image file."""
import numpy as np
from mmcv.transforms import BaseTransform

from mmpartref.errors import BadImageError, FileReadError, InputError, MissingImageError, NotPlainFileError
from mmpartref.files.plain_file import read_any_file
from mmpartref.images.decode_image import check_header_size, decode_image, wrong_size
from mmpartref.registry import TRANSFORMS
from mmpartref.text import shown

# RGB value of the image that replaces a skipped one.
GREY = 128


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``img``, RGB uint8 (h, w, 3), and ``ori_shape`` (h, w).

    With ``on_bad_image='skip'`` in the results, an image that cannot be used is replaced by a grey one of the json's
    size, and ``skipped`` is set to the reason: the later transforms run as for any image, with as many random numbers.

    Raises:
        MissingImageError: the file does not exist; also a FileNotFoundError.
        BadImageError: it is not a plain file, cannot be read or decoded, or its size is not the ``height`` and
            ``width`` of the json, so that the masks would not fit; also a ValueError.
    """

    def transform(self, results: dict) -> dict:
        """Add ``img`` and ``ori_shape``."""
        try:
            img = self._read(results)
        except BadImageError as error:
            if results.get('on_bad_image') != 'skip':
                raise
            results['skipped'] = str(error)
            img = np.full((results['height'], results['width'], 3), GREY, dtype=np.uint8)
        results['img'] = img
        results['ori_shape'] = img.shape[:2]
        return results

    @staticmethod
    def _read(results: dict) -> np.ndarray:
        img_path = results['img_path']
        where = f"{img_path} (image {shown(results['img_id'])})" if 'img_id' in results else img_path
        try:
            content = read_any_file(img_path, f'image {where}')
        except FileNotFoundError:
            raise MissingImageError(f'image {where} does not exist; set data_root and data_prefix to the folder of '
                                    'the images') from None
        except (NotPlainFileError, FileReadError) as error:
            raise BadImageError(str(error)) from None
        except OSError as error:
            raise BadImageError(f'image {where} cannot be read ({error.strerror or error}); check its path') from None
        expected = (results['height'], results['width']) if 'height' in results else None
        if expected is not None:
            check_header_size(content, expected, where)
        img = decode_image(content, where)
        if expected is not None and img.shape[:2] != expected:
            raise wrong_size(where, img.shape[:2], expected)
        return img


def loaded_image(results: dict, transform: BaseTransform) -> np.ndarray:
    """Return the image (h, w, 3) that ``LoadImage`` has loaded, for another transform.

    Raises:
        InputError: there is none.
    """
    if 'img' not in results:
        raise InputError(f'{type(transform).__name__} needs an image; put LoadImage before it in the pipeline')
    return results['img']
