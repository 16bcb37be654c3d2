"""JPEG files that lack a part of their data although they end as they should."""
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from mmpartref.errors import BadImageError
from mmpartref.images import decode_image as module
from mmpartref.images.decode_image import decode_image, is_incomplete, may_be_incomplete

END = b'\xff\xd9'


def jpeg(height: int = 90, width: int = 120, orientation: int = 1, **options: object) -> bytes:
    """A JPEG of smooth noise."""
    noise = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(cv2.GaussianBlur(noise, (5, 5), 2))
    exif = image.getexif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, 'JPEG', exif=exif, **options)
    return file.getvalue()


@pytest.mark.parametrize('options', [
    {}, {'progressive': True}, {'subsampling': 0}, {'quality': 100}, {'optimize': True}, {'height': 88, 'width': 121}])
@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_half_a_jpeg_with_its_end_marker_is_rejected(options: dict, orientation: int) -> None:
    whole = jpeg(orientation=orientation, **options)
    assert decode_image(whole, 'a.jpg').shape[2] == 3
    for share in (0.6, 0.8, 0.95):
        with pytest.raises(BadImageError, match=r'a\.jpg is (incomplete: its JPEG data end before|truncated)'):
            decode_image(whole[:int(share * len(whole))] + END, 'a.jpg')


@pytest.mark.parametrize('content', [
    pytest.param(jpeg() + b'more', id='bytes after the end'), pytest.param(jpeg(7, 9), id='tiny'),
    pytest.param(jpeg(progressive=True), id='progressive')])
def test_whole_files_pass(content: bytes) -> None:
    img = decode_image(content, 'a.jpg')
    assert is_incomplete(content, img) is False


def test_a_black_border_is_not_missing_data() -> None:
    pixels = np.zeros((64, 80, 3), np.uint8)
    pixels[8:40, 8:70] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'JPEG')
    assert may_be_incomplete(file.getvalue(), decode_image(file.getvalue(), 'a.jpg'))
    assert is_incomplete(file.getvalue(), decode_image(file.getvalue(), 'a.jpg')) is False


def test_without_simplejpeg_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'simplejpeg', None)
    whole = jpeg()
    half = whole[:len(whole) // 2] + END
    assert is_incomplete(half, decode_image(half, 'a.jpg')) is None
    assert is_incomplete(whole, decode_image(whole, 'a.jpg')) is False
