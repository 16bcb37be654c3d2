"""Random brightness, contrast, saturation and hue of an image."""
import cv2
import mmcv
import numpy as np

from mmpartref.argument_checks import check_number
from mmpartref.datasets.transforms.load_image import loaded_image
from mmpartref.datasets.transforms.sampled_parts import RandomPartTransform
from mmpartref.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomColour(RandomPartTransform):
    """Change an image's colours: each factor is uniform in 1 - x to 1 + x, the shift of the hue in -x to x.

    In this order, with mmcv's functions except for the hue: mmcv's casts negative shifts to unsigned integers. Random
    draws: see ``RandomPartTransform``.

    Args:
        brightness, contrast, saturation: greatest change of the factor, 0 to 1.
        hue: greatest shift as a share of the colour circle, 0 to 0.5.
        prob: probability that an image is changed.
        seed: the same on all ranks.

    Raises:
        InputTypeError, InputError: an argument is not a number in its range.
    """

    def __init__(self, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.05,
                 prob: float = 0.8, seed: int = 0) -> None:
        super().__init__(prob, seed)
        self.brightness = check_number(brightness, 'RandomColour brightness', 0, 1)
        self.contrast = check_number(contrast, 'RandomColour contrast', 0, 1)
        self.saturation = check_number(saturation, 'RandomColour saturation', 0, 1)
        self.hue = check_number(hue, 'RandomColour hue', 0, 0.5)

    def transform(self, results: dict) -> dict:
        """Change ``img``."""
        rng = self.generator(results)
        if rng.random() >= self.prob:
            return results
        image = loaded_image(results, self)[..., ::-1]  # mmcv wants BGR
        for adjust, most in ((mmcv.adjust_brightness, self.brightness), (mmcv.adjust_contrast, self.contrast),
                             (mmcv.adjust_color, self.saturation)):
            image = adjust(image, rng.uniform(1 - most, 1 + most), backend='cv2')
        results['img'] = shift_hue(np.ascontiguousarray(image[..., ::-1]), rng.uniform(-self.hue, self.hue))
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, '
                f'saturation={self.saturation}, hue={self.hue}, prob={self.prob}, seed={self.seed})')


def shift_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """Return an RGB uint8 image with its hue shifted by a share of the colour circle."""
    steps = round(shift * 256)
    if not steps:
        return image  # the conversion to hue and back would change levels by up to 8
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL))
    turned = ((hue.astype(np.int16) + steps) % 256).astype(np.uint8)
    return cv2.cvtColor(cv2.merge([turned, saturation, value]), cv2.COLOR_HSV2RGB_FULL)
