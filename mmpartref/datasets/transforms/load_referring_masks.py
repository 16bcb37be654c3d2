"""Ground-truth masks of an image's expressions."""
from mmcv.transforms import BaseTransform

from mmpartref.errors import InputError
from mmpartref.masks.rle import decode_refs
from mmpartref.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadReferringMasks(BaseTransform):
    """Decode the refs' RLEs into ``gt_masks``, uint8 (K, h, w), 0 or 255.

    A ref's mask is the union of its annotations, empty where it has none (an absent part). The value is 255 and not 1,
    so that the letterbox's interpolation preserves which fraction of a pixel is covered.

    Raises:
        InputError: the image has another size than the masks.
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_masks``."""
        size = (results['height'], results['width']) if 'height' in results else None
        masks = decode_refs(results['refs'], size)  # (K, h, w)
        if 'img' in results and results['img'].shape[:2] != masks.shape[1:]:
            raise InputError(f"{results['img_path']}: the masks are {masks.shape[1:]} but the image is "
                             f"{results['img'].shape[:2]} (height, width); put LoadReferringMasks before Letterbox")
        masks *= 255
        results['gt_masks'] = masks
        return results
