"""One photo, from wherever it comes, as upright RGB."""
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from mmpartref.errors import InputError, InputTypeError, MissingFileError
from mmpartref.files.plain_file import MAX_FILE_BYTES, open_plain_file, read_plain_file
from mmpartref.images.decode_image import decode_photo
from mmpartref.images.image_arrays import from_array, from_pil, from_tensor
from mmpartref.images.image_url import MAX_BYTES, TIMEOUT, fetch_photo, is_url
from mmpartref.text import shown_name

# Where PIL begins to warn of decompression bombs.
MAX_PIXELS = 89_478_485
# At most, in a file: RGBA in 32-bit floats.
BYTES_PER_PIXEL = 16
# OpenCV 4 counts a warp's pixels in 16 bits.
MAX_SIDE = 32766
# Raster formats, decoded by PIL's own code or its libraries; not EPS, which starts a program, nor others that nobody
# takes photos in. HEIF where pillow-heif has been registered.
FORMATS = ('JPEG', 'MPO', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM', 'JPEG2000', 'AVIF', 'HEIF')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff', '.ppm', '.pgm', '.jp2', '.avif', '.heic')


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo that has been read.

    Attributes:
        pixels: RGB uint8 (h, w, 3), upright.
        name: path, URL, or what kind of object it was, for messages and files.
    """
    pixels: np.ndarray
    name: str

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.pixels.shape[0], self.pixels.shape[1]


ImageLike: TypeAlias = str | os.PathLike | Image.Image | np.ndarray | torch.Tensor | Photo


@dataclass(frozen=True)
class PhotoReader:
    """Reads photos within limits.

    Attributes:
        max_pixels: a photo with more is refused, a file before it is decoded.
        max_bytes, timeout: of a URL, see ``fetch_photo``.
    """
    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES
    timeout: float = TIMEOUT

    def __call__(self, image: ImageLike) -> Photo:
        """Read a path, a URL, a PIL image, an array (``from_array``) or a tensor (``from_tensor``).

        Files and PIL images are turned upright as their EXIF orientation says; arrays and tensors are upright already.
        A JPEG is decoded as the data sets' ``LoadImage`` does it, anything else by PIL.

        Raises:
            FileNotFoundError: there is no such file.
            ConnectionError: a URL does not answer.
            ValueError: it is no plain file or no image, too large, or an array of another form; names the photo.
            TypeError: it is nothing of all this.
        """
        if isinstance(image, Photo):
            return image
        if isinstance(image, str) and is_url(image):
            return self._encoded(fetch_photo(image, max_bytes=self.max_bytes, timeout=self.timeout), image)
        if isinstance(image, (str, os.PathLike)):
            return self._file(Path(image))
        if isinstance(image, Image.Image):
            name = getattr(image, 'filename', '') or 'a PIL image'
            self._check(image.size, name)
            return Photo(from_pil(image, name), name)
        if isinstance(image, np.ndarray):
            self._check(image.shape[1::-1], 'an array')
            return Photo(from_array(image, 'an array'), 'an array')
        if isinstance(image, torch.Tensor):
            self._check(tuple(image.shape[:0:-1]), 'a tensor')
            return Photo(from_tensor(image, 'a tensor'), 'a tensor')
        raise InputTypeError(f'an image is a path, a URL, a PIL image, an array or a tensor, got a '
                             f'{type(image).__name__}')

    def _check(self, size: Sequence[int], name: str) -> None:
        """Refuse (width, height) beyond the limits; other numbers of axes are refused elsewhere."""
        if len(size) != 2:
            return
        width, height = size
        if width * height > self.max_pixels:
            raise InputError(f'{name} is {width:,} x {height:,} pixels, {width * height / 1e6:.0f} megapixels, more '
                             f'than max_pixels={self.max_pixels:,}; make it smaller, or raise max_pixels')
        if max(width, height) > MAX_SIDE:
            raise InputError(f'{name} is {width:,} x {height:,} pixels; sides up to {MAX_SIDE:,} can be scaled, so '
                             'make it smaller')

    def _file(self, path: Path) -> Photo:
        name = shown_name(str(path))
        if os.path.isdir(path):
            raise InputError(f'{name} is a folder, not a photo; give its photos as a list, e.g. '
                             "sorted(Path(folder).glob('*.jpg'))")
        if not os.path.exists(path):
            raise MissingFileError(f'there is no photo {name}')
        with open_plain_file(path, name) as file:
            self._look_at(file, name)
        content = read_plain_file(path, name, max(MAX_FILE_BYTES, BYTES_PER_PIXEL * self.max_pixels))
        return Photo(self._encoded(content, name).pixels, str(path))

    def _look_at(self, file: IO[bytes], name: str) -> Image.Image:
        """Read a file's head, without its pixels."""
        Image.init()
        known = [each for each in FORMATS if each in Image.OPEN]
        try:
            image = Image.open(file, formats=known)
        except UnidentifiedImageError:
            file.seek(0)
            raise InputError(f'{name} is no image that can be read here: {what_it_is(file.read(64))}') from None
        except Image.DecompressionBombError as error:
            raise InputError(f'{name} is larger than PIL decodes ({error}); make it smaller, or raise both '
                             'PIL.Image.MAX_IMAGE_PIXELS and max_pixels') from None
        except Exception as error:
            raise damaged(name, error) from None
        self._check(image.size, name)
        return image

    def _encoded(self, content: bytes, name: str) -> Photo:
        image = self._look_at(io.BytesIO(content), name)
        if image.format in ('JPEG', 'MPO'):
            return Photo(decode_photo(content, name), name)
        try:
            image.load()
        except Exception as error:
            raise damaged(name, error) from None
        return Photo(from_pil(image, name), name)


def damaged(name: str, error: Exception) -> ValueError:
    """Say that PIL gave up; broken bytes trip it in many ways (OSError, SyntaxError, struct.error, ...)."""
    return ValueError(f'{name} cannot be decoded, it is damaged or cut off ({type(error).__name__}: {error})')


def what_it_is(head: bytes) -> str:
    """Say what the first bytes of a file that is no image look like."""
    if not head:
        return 'it is empty'
    if head[4:8] == b'ftyp':
        brand = head[8:12].decode('ascii', errors='replace')
        return (f'a {brand!r} file; for HEIC install pillow-heif and call pillow_heif.register_heif_opener(), or '
                'convert it to JPEG')
    if head.startswith((b'\x89PNG', b'\xff\xd8', b'RIFF')):
        return 'it begins as one, but is damaged or cut off'
    start = head.lstrip()[:32]
    kind = 'a web page' if start.lower().startswith((b'<!doctype', b'<html')) else 'it begins with'
    return f'{kind} {start!r}'
