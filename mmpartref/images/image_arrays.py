"""Conversion of arrays, tensors and PIL images to RGB uint8 (h, w, 3)."""
import numpy as np
import torch
from PIL import Image, ImageOps

from mmpartref.errors import InputError

# 65535 / 255: full intensity of 16 bits becomes full intensity of 8.
LEVELS_OF_16_BITS = 257
# PIL modes whose pixels are single numbers, not grey levels of 8 bits.
NUMBER_MODES = ('I', 'F')
ALPHA_MODES = ('LA', 'La', 'PA', 'RGBA', 'RGBa')


def from_array(array: np.ndarray, name: str) -> np.ndarray:
    """Convert an array to RGB uint8 (h, w, 3).

    Args:
        array: grey (h, w) or (h, w, 1), RGB (h, w, 3) or RGBA (h, w, 4), blended over white; uint8, uint16 (divided by
            257) or floats from 0 to 1.
        name: of the image, for messages.

    Raises:
        ValueError: another shape, dtype or range, or no pixels.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        hint = {3: '; a torch tensor may be (3, h, w), an array has its channels last',
                4: '; give a list of its images, list(array)'}.get(array.ndim, '')
        raise InputError(f'{name}: an image array must be grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4), got '
                         f'{array.shape} {array.dtype}{hint}')
    levels = as_uint8(array, name)
    if levels.shape[2] == 4:
        return blend_over_white(levels)
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def as_uint8(array: np.ndarray, name: str) -> np.ndarray:
    """Convert an array of any number of channels to levels 0 to 255; dtypes and errors as in ``from_array``."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + LEVELS_OF_16_BITS // 2) // LEVELS_OF_16_BITS).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f'{name}: an image array must be uint8, uint16 or floats from 0 to 1, got {array.dtype}; '
                         'convert it, e.g. array.astype(np.uint8)')
    levels = np.rint(array.astype(np.float32) * 255)
    # NaN fails both comparisons; values that round to 0 or 255 pass.
    if not (levels.min() >= 0 and levels.max() <= 255):
        raise InputError(f'{name}: an image array of floats must have values from 0 to 1, got {array.min():.6g} to '
                         f'{array.max():.6g}; divide by the greatest level, or undo a normalisation')
    return levels.astype(np.uint8)


def blend_over_white(rgba: np.ndarray) -> np.ndarray:
    """Blend RGBA uint8 (h, w, 4) with straight alpha over white, rounded to the nearest level."""
    alpha = rgba[:, :, 3:].astype(np.uint16)
    # At most 255 * 255 + 127, which fits into 16 bits.
    return ((rgba[:, :, :3] * alpha + (255 - alpha) * 255 + 127) // 255).astype(np.uint8)


def from_tensor(tensor: torch.Tensor, name: str) -> np.ndarray:
    """Convert a tensor (3, h, w), (1, h, w) or (4, h, w) to RGB uint8 (h, w, 3); dtypes as in ``from_array``.

    Raises:
        ValueError: another shape, dtype or range, or no pixels.
    """
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        hint = '; give a list of its images, list(tensor)' if tensor.ndim == 4 else ''
        raise InputError(f'{name}: an image tensor must be RGB (3, h, w), got {tuple(tensor.shape)} {tensor.dtype}'
                         f'{hint}')
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # numpy has no bfloat16
    return from_array(tensor.permute(1, 2, 0).numpy(), name)


def from_pil(image: Image.Image, name: str) -> np.ndarray:
    """Convert the current frame of a PIL image to RGB uint8 (h, w, 3), rotated by its EXIF orientation.

    An alpha channel or transparent colour is blended over white, 16 bits are divided by 257, mode 'F' is
    read as 0 to 1.

    Raises:
        ValueError: values out of range, or a mode that PIL does not convert.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(NUMBER_MODES):
        numbers = np.asarray(image)
        if image.mode != 'F':
            # Mode 'I' holds 16 bits in 32.
            if numbers.min() < 0 or numbers.max() > 65535:
                raise InputError(f'{name}: PIL mode {image.mode!r} is read as 16 bits, 0 to 65535, but its values are '
                                 f'from {numbers.min()} to {numbers.max()}; scale it first')
            numbers = numbers.astype(np.uint16)
        return from_array(numbers, name)
    if image.mode in ALPHA_MODES or 'transparency' in image.info:
        return blend_over_white(np.asarray(image.convert('RGBA')))
    # A copy, because PIL's memory is read-only.
    return np.array(image.convert('RGB'))
