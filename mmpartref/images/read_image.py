"""Reading of an image from a path, a URL, a PIL image, an array or a tensor."""
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from mmpartref.argument_checks import check_integer, check_path, check_seconds
from mmpartref.errors import InputError, InputTypeError, MissingFileError
from mmpartref.files.plain_file import MAX_FILE_BYTES, open_plain_file, read_plain_file
from mmpartref.images.decode_image import decode_image
from mmpartref.images.image_arrays import check_dense, describe, from_array, from_pil, from_tensor
from mmpartref.images.image_url import MAX_BYTES, TIMEOUT, fetch_image, is_url
from mmpartref.text import shown, shown_name

# Where PIL begins to warn of decompression bombs.
MAX_PIXELS = 89_478_485
# At most, in a file: RGBA in 32-bit floats.
BYTES_PER_PIXEL = 16
# OpenCV 4 counts a warp's pixels in 16 bits.
MAX_SIDE = 32766
# Raster formats of images that PIL decodes in process; EPS would start a program. HEIF where pillow-heif is registered.
FORMATS = ('JPEG', 'MPO', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM', 'JPEG2000', 'AVIF', 'HEIF')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff', '.ppm', '.pgm', '.jp2', '.avif', '.heic')


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """The pixels and the name of an image.

    Attributes:
        pixels: RGB uint8 (h, w, 3), rotated by the EXIF orientation; used without a copy.
        name: path, URL, or kind of object, for messages and files.

    Raises:
        ValueError: ``pixels`` is something else, or empty.
    """
    pixels: np.ndarray
    name: str

    def __post_init__(self) -> None:
        pixels = self.pixels
        if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3
                and pixels.shape[2] == 3 and pixels.size):
            found = getattr(pixels, 'shape', ''), getattr(pixels, 'dtype', '')
            raise InputError(f'the pixels of a DecodedImage must be an array (h, w, 3) of uint8, got a '
                             f'{type(pixels).__name__} {shown(found)}; give the image itself, which is converted')

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.pixels.shape[0], self.pixels.shape[1]


ImageLike: TypeAlias = str | os.PathLike | Image.Image | np.ndarray | torch.Tensor | DecodedImage


@dataclass(frozen=True)
class ImageReader:
    """Reads images and rejects those beyond its limits.

    Attributes:
        max_pixels: the most pixels of an image, at least 1; files are checked before they are decoded.
        max_bytes, timeout: of a download, see ``fetch_image``.

    Raises:
        TypeError: a limit is not a number.
        ValueError: a limit is out of range.
    """
    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        # As Python's numbers, because products of numpy's can overflow.
        object.__setattr__(self, 'max_pixels', check_integer(self.max_pixels, 'max_pixels'))
        object.__setattr__(self, 'max_bytes', check_integer(self.max_bytes, 'max_bytes'))
        object.__setattr__(self, 'timeout', check_seconds(self.timeout, 'timeout'))

    def __call__(self, image: ImageLike) -> DecodedImage:
        """Read a path, a URL, a PIL image, an array (``from_array``) or a tensor (``from_tensor``).

        The result shares no memory with the image, a ``DecodedImage`` excepted, which is returned as it is. Files and
        PIL images are rotated by their EXIF orientation. JPEGs are decoded as the datasets' ``LoadImage``
        does, other formats by PIL.

        Raises:
            FileNotFoundError: the file does not exist.
            ConnectionError: the download failed.
            ValueError: the path or the URL is not valid, the file is not a plain file or not an image, the image is
                too large or has no pixels, or the array has an unsupported shape, dtype or range.
            TypeError: an unsupported type.
        """
        if isinstance(image, DecodedImage):
            self._check_size(image.size[::-1], shown_name(str(image.name)))
            return image
        if isinstance(image, str) and is_url(image):
            return self.decode(fetch_image(image, max_bytes=self.max_bytes, timeout=self.timeout), image)
        if isinstance(image, (str, os.PathLike)):
            return self._read_file(check_path(image, 'the image'))
        if isinstance(image, Image.Image):
            file = getattr(image, 'filename', '')
            name = os.fsdecode(file) if file and isinstance(file, (str, bytes, os.PathLike)) else 'a PIL image'
            self._check_size(image.size, shown_name(name))
            return DecodedImage(from_pil(image, shown_name(name)), name)
        if isinstance(image, np.ndarray):
            self._check_size(image.shape[1::-1], 'an array')
            return DecodedImage(from_array(image, 'an array'), 'an array')
        if isinstance(image, torch.Tensor):
            check_dense(image, 'a tensor')
            self._check_size(tuple(image.shape[:0:-1]), 'a tensor')
            return DecodedImage(from_tensor(image, 'a tensor'), 'a tensor')
        raise InputTypeError(f'an image must be a path, a URL, a PIL image, an array or a tensor, got a '
                             f'{type(image).__name__}; several are given as a list')

    def _check_size(self, size: Sequence[int], name: str) -> None:
        """Check (width, height) against the limits; other numbers of axes are rejected by ``image_arrays``."""
        if len(size) != 2:
            return
        width, height = size
        if width * height > self.max_pixels:
            raise InputError(f'{name} is {width:,} x {height:,} pixels, {width * height / 1e6:.0f} megapixels, more '
                             f'than max_pixels={self.max_pixels:,}; make it smaller, or raise max_pixels')
        if max(width, height) > MAX_SIDE:
            raise InputError(f'{name} is {width:,} x {height:,} pixels; sides up to {MAX_SIDE:,} can be scaled, so '
                             'make it smaller')

    def _read_file(self, path: str) -> DecodedImage:
        if not path:
            raise InputError('the path of an image is empty; name a file')
        path = str(Path(path))
        name = shown_name(path)
        if os.path.isdir(path):
            raise InputError(f'{name} is a folder, not an image; give its images as a list, e.g. '
                             "sorted(Path(folder).glob('*.jpg'))")
        if not os.path.exists(path):
            raise MissingFileError(f'the image {name} does not exist')
        with open_plain_file(path, name) as file:
            self._open(file, name)
        content = read_plain_file(path, name, max(MAX_FILE_BYTES, BYTES_PER_PIXEL * self.max_pixels))
        return DecodedImage(self.decode(content, name).pixels, path)

    def _open(self, file: IO[bytes], name: str) -> Image.Image:
        """Read and check a file's header, without its pixels."""
        Image.init()
        try:
            image = Image.open(file, formats=[each for each in FORMATS if each in Image.OPEN])
        except UnidentifiedImageError:
            file.seek(0)
            raise InputError(f'{name} is not an image that can be read: {describe_start(file.read(64))}') from None
        except Image.DecompressionBombError as error:
            raise InputError(f'{name} is larger than PIL decodes ({error}); make it smaller, or raise both '
                             'PIL.Image.MAX_IMAGE_PIXELS and max_pixels') from None
        except Exception as error:
            raise damaged(name, error) from None
        self._check_size(image.size, name)
        return image

    def decode(self, content: bytes, name: str) -> DecodedImage:
        """Decode a file; errors as of ``__call__``."""
        image = self._open(io.BytesIO(content), name)
        if image.format in ('JPEG', 'MPO'):
            return DecodedImage(decode_image(content, name), name)
        try:
            image.load()
        except Exception as error:
            raise damaged(name, error) from None
        return DecodedImage(from_pil(image, name), name)


def damaged(name: str, error: Exception) -> InputError:
    """Return the error for a file that PIL cannot decode; it raises OSError, SyntaxError, struct.error and others."""
    return InputError(f'{name} cannot be decoded, it is damaged or truncated ({describe(error)})')


def describe_start(header: bytes) -> str:
    """Describe the first bytes of a file that is not an image."""
    if not header:
        return 'it is empty'
    if header[4:8] == b'ftyp':
        brand = header[8:12].decode('ascii', errors='replace')
        return (f'a {brand!r} file; for HEIC install pillow-heif and call pillow_heif.register_heif_opener(), or '
                'convert it to JPEG')
    if header.startswith((b'\x89PNG', b'\xff\xd8', b'RIFF')):
        return 'it starts as one, but is damaged or truncated'
    start = header.lstrip()[:32]
    kind = 'a web page' if start.lower().startswith((b'<!doctype', b'<html')) else 'it starts with'
    return f'{kind} {start!r}'
