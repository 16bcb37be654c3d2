"""Conversion of arrays, tensors and PIL images to RGB uint8 (h, w, 3)."""
import numpy as np
import torch
from PIL import Image, ImageOps

from mmpartref.errors import InputError, MMPartRefError
from mmpartref.text import one_line, shown_name

# 65535 / 255: full intensity of 16 bits becomes full intensity of 8.
LEVELS_OF_16_BITS = 257
# PIL modes whose pixels are single numbers, not grey levels of 8 bits.
NUMBER_MODES = ('I', 'F')
ALPHA_MODES = ('LA', 'La', 'PA', 'RGBA', 'RGBa')
# PIL modes that can have a transparent colour.
COLOUR_KEY_MODES = ('1', 'L', 'P', 'RGB')


def from_array(array: np.ndarray, name: str) -> np.ndarray:
    """Convert an array to RGB uint8 (h, w, 3), always a copy, because callers may reuse the array.

    Args:
        array: grey (h, w) or (h, w, 1), RGB (h, w, 3) or RGBA (h, w, 4), blended over white; uint8, uint16 (divided by
            257) or floats from 0 to 1, in any byte order.
        name: of the image, for messages.

    Raises:
        ValueError: another shape, dtype or range, masked pixels, or no pixels.
    """
    if np.ma.is_masked(array):
        raise InputError(f'{name}: an image array has masked pixels, which have no value; fill them, e.g. '
                         'array.filled(0)')
    array = np.asarray(array)  # np.matrix has two axes whatever is done to it
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        hint = {3: '; a torch tensor may be (3, h, w), an array has its channels last',
                4: '; give a list of its images, list(array)'}.get(array.ndim, '')
        raise InputError(f'{name}: an image array must be grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4), got '
                         f'{array.shape} {shown_name(str(array.dtype))}{hint}')
    levels = as_uint8(array, name)
    if levels.shape[2] == 4:
        return blend_over_white(levels)
    return np.array(np.broadcast_to(levels, (*levels.shape[:2], 3)), order='C')


def as_uint8(array: np.ndarray, name: str) -> np.ndarray:
    """Convert an array of any number of channels to levels 0 to 255; dtypes and errors as in ``from_array``."""
    kind = array.dtype.kind, array.dtype.itemsize
    if kind == ('u', 1):
        return array
    if kind == ('u', 2):
        return ((array.astype(np.uint32) + LEVELS_OF_16_BITS // 2) // LEVELS_OF_16_BITS).astype(np.uint8)
    if kind[0] != 'f':
        raise InputError(f'{name}: an image array must be uint8, uint16 or floats from 0 to 1, got '
                         f'{shown_name(str(array.dtype))}; convert it, e.g. array.astype(np.uint8)')
    with np.errstate(over='ignore', invalid='ignore'):
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


def check_dense(tensor: torch.Tensor, name: str) -> None:
    """Check that a tensor has its values in memory, one per element; others raise errors even for their shape.

    Raises:
        ValueError: it is nested, sparse, quantised or on the device 'meta'.
    """
    for found, kind, remedy in ((tensor.is_nested, 'nested', 'give its images as a list, tensor.unbind()'),
                                (tensor.layout is not torch.strided, str(tensor.layout), 'give tensor.to_dense()'),
                                (tensor.is_quantized, 'quantised', 'give tensor.dequantize()'),
                                (tensor.is_meta, 'meta', 'it has no values, so load them first')):
        if found:
            raise InputError(f'{name}: an image tensor must be dense, got a {kind} one; {remedy}')


def from_tensor(tensor: torch.Tensor, name: str) -> np.ndarray:
    """Convert a tensor (3, h, w), (1, h, w) or (4, h, w) to RGB uint8 (h, w, 3), a copy; dtypes as in ``from_array``.

    Raises:
        ValueError: another shape, dtype or range, no pixels, or a tensor that numpy cannot read.
    """
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        hint = '; give a list of its images, list(tensor)' if tensor.ndim == 4 else ''
        raise InputError(f'{name}: an image tensor must be RGB (3, h, w), got {tuple(tensor.shape)} {tensor.dtype}'
                         f'{hint}')
    try:
        tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
        if tensor.is_floating_point():
            tensor = tensor.float()  # numpy has no bfloat16
        array = tensor.permute(1, 2, 0).numpy()
    except Exception as error:  # e.g. inside vmap, or of a subclass without values
        raise InputError(f'{name}: an image tensor cannot be read ({describe(error)}); give a plain tensor, or an '
                         'array') from None
    return from_array(array, name)


def from_pil(image: Image.Image, name: str) -> np.ndarray:
    """Convert the current frame of a PIL image to RGB uint8 (h, w, 3), rotated by its EXIF orientation.

    An alpha channel or transparent colour is blended over white, 16 bits are divided by 257, mode 'F' is
    read as 0 to 1.

    Raises:
        ValueError: no pixels, values out of range, a mode that PIL does not convert, or an image that cannot be
            loaded: its file is closed, damaged or truncated.
    """
    if 0 in image.size:
        raise InputError(f'{name} is {image.width:,} x {image.height:,} pixels, so it has none; use another image')
    try:
        image.load()
        return convert_pil(ImageOps.exif_transpose(image), name)
    except MMPartRefError:
        raise
    except Exception as error:  # PIL raises errors of many types
        raise InputError(f'{name} cannot be read by PIL ({describe(error)}); load it before its file is closed, or '
                         'save it again as RGB') from None


def convert_pil(image: Image.Image, name: str) -> np.ndarray:
    """Convert a loaded PIL image; arguments and results as ``from_pil``, without a rotation."""
    if image.mode.startswith(NUMBER_MODES):
        numbers = np.asarray(image)
        if image.mode != 'F':
            # Mode 'I' holds 16 bits in 32.
            if numbers.min() < 0 or numbers.max() > 65535:
                raise InputError(f'{name}: PIL mode {image.mode!r} is read as 16 bits, 0 to 65535, but its values are '
                                 f'from {numbers.min()} to {numbers.max()}; scale it first')
            numbers = numbers.astype(np.uint16)
        return from_array(numbers, name)
    if image.mode == 'La':
        image = image.convert('LA')  # PIL converts it to nothing else
    if image.mode in ALPHA_MODES or (image.mode in COLOUR_KEY_MODES and 'transparency' in image.info):
        return blend_over_white(np.asarray(image.convert('RGBA')))
    # A copy, because PIL's memory is read-only.
    return np.array(image.convert('RGB'))


def describe(error: Exception) -> str:
    """Return the type and message of a library's error, on one line."""
    return one_line(f'{type(error).__name__}: {error}'.rstrip(': '))
