import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from PIL import Image

from mmpartref.datasets.transforms import Letterbox, LoadImage, PackReferringInputs
from mmpartref.errors import InputError

WriteImage = Callable[..., str]


def jpeg(path: Path, orientation: int | None = None) -> bytes:
    """A JPEG of 200 x 300 noise, optionally with an EXIF orientation."""
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    buffer, image = io.BytesIO(), Image.fromarray(pixels)
    exif = image.getexif()
    if orientation:
        exif[0x0112] = orientation
    image.save(buffer, 'JPEG', exif=exif)
    path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def test_reads_rgb_and_the_image_size(write_image: WriteImage) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[..., 0] = 200  # red
    results = LoadImage()({'img_path': write_image('red.png', pixels), 'height': 20, 'width': 30})
    np.testing.assert_array_equal(results['img'], pixels)
    assert results['img'].dtype == np.uint8
    assert results['ori_shape'] == (20, 30)


def test_the_size_is_optional(write_image: WriteImage) -> None:
    assert LoadImage()({'img_path': write_image('image.png')})['ori_shape'] == (20, 30)


def test_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'nowhere\.jpg does not exist; set data_root and data_prefix'):
        LoadImage()({'img_path': str(tmp_path / 'nowhere.jpg')})


@pytest.mark.parametrize('content', [b'', b'not an image', b'\xff\xd8\xff\xe0'])
def test_other_files_than_images_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / 'bad.jpg').write_bytes(content)
    with pytest.raises(ValueError, match=r'bad\.jpg cannot be decoded .*; download it again'):
        LoadImage()({'img_path': str(tmp_path / 'bad.jpg')})


def test_cut_off_jpeg_is_not_filled_with_grey(tmp_path: Path) -> None:
    path = tmp_path / 'half.jpg'
    whole = jpeg(path)
    assert LoadImage()({'img_path': str(path)})['ori_shape'] == (200, 300)
    path.write_bytes(whole[:len(whole) * 3 // 4])
    with pytest.raises(ValueError, match=r'half\.jpg is truncated'):
        LoadImage()({'img_path': str(path)})


def test_another_size_than_in_the_json_is_rejected(write_image: WriteImage) -> None:
    with pytest.raises(ValueError, match=r'image\.png is 20 x 30 pixels .* but the json has 20 x 31'):
        LoadImage()({'img_path': write_image('image.png'), 'height': 20, 'width': 31})


def test_the_message_mentions_rotation_by_exif(tmp_path: Path) -> None:
    jpeg(tmp_path / 'rotated.jpg', orientation=6)
    with pytest.raises(ValueError, match=r'rotated\.jpg is 300 x 200 .*EXIF'):
        LoadImage()({'img_path': str(tmp_path / 'rotated.jpg'), 'height': 200, 'width': 300})


@pytest.mark.parametrize('transform', [Letterbox(8), PackReferringInputs()])
def test_later_transforms_need_the_image(transform: BaseTransform) -> None:
    with pytest.raises(InputError, match=f'{type(transform).__name__} needs an image; put LoadImage before it'):
        transform({'refs': [], 'expressions': ['a wheel']})
