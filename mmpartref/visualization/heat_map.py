"""A probability drawn over a photo."""
import cv2
import numpy as np

from mmpartref.errors import InputError


def draw_heat_map(image: np.ndarray, heat: np.ndarray, *, alpha: float = 0.65) -> np.ndarray:
    """Return the photo in grey under viridis, dark blue at 0 and yellow at 1.

    Args:
        image: RGB uint8 (h, w, 3).
        heat: (h, w), 0 to 1.
        alpha: how much of the colour covers the photo, 0 to 1.

    Raises:
        ValueError: the sizes differ.
    """
    if heat.shape != image.shape[:2]:
        raise InputError(f'a heat map of {heat.shape} does not lie on a photo of {image.shape[:2]} (height, width)')
    levels = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(colours, alpha, grey, 1 - alpha, 0)
