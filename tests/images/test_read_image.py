import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from mmpartref.apis import DecodedImage, ImageReader
from mmpartref.datasets.transforms import LoadImage

READ = ImageReader()
# Four colours, one per quarter, in whole JPEG blocks.
QUARTERS = np.zeros((64, 96, 3), dtype=np.uint8)
QUARTERS[:32, :48], QUARTERS[:32, 48:], QUARTERS[32:, :48] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
# EXIF 2.3, 4.6.4, tag 274: what to do to the stored rows and columns to see the image upright.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize('orientation', UPRIGHT)
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
def test_all_orientations_are_turned_upright(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    file = tmp_path / f'image.{kind.lower()}'
    options = {'WEBP': {'lossless': True}, 'JPEG': {'quality': 100, 'subsampling': 0}}.get(kind, {})
    file.write_bytes(encoded(Image.fromarray(QUARTERS), kind, exif=exif, **options))
    expected = UPRIGHT[orientation](QUARTERS).astype(int)
    for image in (READ(file), READ(Image.open(file))):
        assert image.size == expected.shape[:2]
        assert np.abs(image.pixels - expected).max() <= (3 if kind == 'JPEG' else 0)
    if kind == 'JPEG':
        # As the datasets read it, so that annotations and masks have the same orientation.
        loaded = LoadImage().transform({'img_path': str(file)})
        assert loaded['ori_shape'] == READ(file).size
        assert np.array_equal(loaded['img'], READ(file).pixels)


def test_sixteen_bits_are_turned_upright_too(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    grey = np.arange(6, dtype=np.uint16).reshape(2, 3) * 257
    Image.fromarray(grey).save(tmp_path / 'grey.png', exif=exif)
    assert READ(tmp_path / 'grey.png').pixels[:, :, 0].tolist() == [[3, 0], [4, 1], [5, 2]]


@pytest.mark.parametrize(('mode', 'expected'), [
    ('1', [0, 255]), ('L', [0, 255]), ('RGB', [0, 255]), ('CMYK', [0, 255]), ('YCbCr', [0, 255]), ('HSV', [0, 255]),
    ('P', [0, 255]), ('F', [0, 255]), ('RGBX', [0, 255]),
])
def test_modes_without_alpha(mode, expected):
    image = Image.new('L', (2, 1))
    image.putpixel((1, 0), 255)
    if mode == 'F':
        image = Image.fromarray(np.array([[0, 1]], dtype=np.float32))
    elif mode == 'HSV':
        image = image.convert('RGB')
    pixels = READ(image.convert(mode)).pixels
    assert pixels.shape == (1, 2, 3)
    assert pixels.dtype == np.uint8
    assert pixels[0].tolist() == [[level] * 3 for level in expected]


def test_alpha_is_composed_over_white(tmp_path):
    rgba = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], dtype=np.uint8)
    expected = [[200, 100, 0], [255, 255, 255], [244, 224, 204]]
    image = Image.fromarray(rgba)
    image.save(tmp_path / 'image.png')
    tensor = torch.from_numpy(rgba).permute(2, 0, 1)
    for kind in (rgba, image, tmp_path / 'image.png', tensor, rgba.astype(np.uint16) * 257, rgba / 255):
        assert READ(kind).pixels[0].tolist() == expected
    assert np.abs(READ(image.convert('RGBa')).pixels[0].astype(int) - expected).max() <= 2
    grey = Image.fromarray(np.array([[[100, 255], [100, 0], [100, 51]]], dtype=np.uint8), 'LA')
    assert READ(grey).pixels[0].tolist() == [[100] * 3, [255] * 3, [224] * 3]


def test_a_transparent_colour_is_composed_over_white():
    image = Image.new('P', (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert READ(image).pixels[0].tolist() == [[10, 20, 30], [40, 50, 60]]
    image.info['transparency'] = 0
    assert READ(image).pixels[0].tolist() == [[255, 255, 255], [40, 50, 60]]


@pytest.mark.parametrize('mode', ['I;16', 'I;16B', 'I'])
def test_sixteen_bits_are_scaled(mode, tmp_path):
    levels = np.array([[0, 257, 128, 129, 65535]], dtype=np.uint16)
    image = Image.fromarray(levels.astype({'I': np.int32, 'I;16B': '>u2'}.get(mode, np.uint16)))
    assert image.mode == mode
    for kind in (image, levels, levels[:, :, None]):
        assert READ(kind).pixels[0, :, 0].tolist() == [0, 1, 0, 1, 255]
    Image.fromarray(levels).save(tmp_path / 'grey.png')
    Image.fromarray(levels).save(tmp_path / 'grey.tif')
    for file in ('grey.png', 'grey.tif'):
        assert READ(tmp_path / file).pixels[0, :, 1].tolist() == [0, 1, 0, 1, 255]


def test_arrays_and_tensors_of_any_precision():
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    channels_first = torch.from_numpy(rgb).permute(2, 0, 1)
    kinds = [rgb, rgb / 255, (rgb / 255).astype(np.float32), rgb.astype(np.uint16) * 257, channels_first,
             channels_first.float() / 255, (channels_first.double() / 255).requires_grad_(), DecodedImage(rgb, 'mine')]
    for kind in kinds:
        assert np.array_equal(READ(kind).pixels, rgb)
    grey = rgb[:, :, 0]
    for kind in (grey, grey[:, :, None], torch.from_numpy(grey.copy())[None]):
        pixels = READ(kind).pixels
        assert np.array_equal(pixels, np.repeat(grey[:, :, None], 3, axis=2))
        assert pixels.flags.c_contiguous
    # A half has 2048 levels between 0.5 and 1, so no level is lost.
    assert np.array_equal(READ((channels_first / 255).half()).pixels, rgb)


@pytest.mark.parametrize(('image', 'message'), [
    (np.zeros((3, 4, 5), np.uint8), r'got \(3, 4, 5\) uint8; .*an array has its channels last'),
    (np.zeros((2, 4, 5, 3), np.uint8), r'got \(2, 4, 5, 3\) uint8; give a list'),
    (np.zeros((0, 5, 3), np.uint8), r'got \(0, 5, 3\)'),
    (np.zeros(5, np.uint8), r'got \(5,\)'),
    (np.zeros((4, 5, 3), np.int64), 'uint8, uint16 or floats from 0 to 1, got int64'),
    (np.zeros((4, 5), bool), 'got bool'),
    (np.full((4, 5, 3), 200.0), 'got 200 to 200; divide'),
    (np.full((4, 5, 3), -0.01), r'got -0\.01 to -0\.01'),
    (np.full((4, 5, 3), np.nan), 'got nan to nan'),
    (torch.zeros(4, 5, 3, dtype=torch.uint8).permute(1, 0, 2), r'RGB \(3, h, w\), got \(5, 4, 3\)'),
    (torch.zeros(2, 3, 4, 5), r'list\(tensor\)'),
    (torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)) * 3, 'undo a normalisation'),
    (Image.fromarray(np.full((2, 2), 70000, np.int32)), 'read as 16 bits, 0 to 65535, but its values are from 70000'),
])
def test_other_forms_raise_errors(image, message):
    with pytest.raises(ValueError, match=message):
        READ(image)


@pytest.mark.parametrize('image', [None, 3, b'bytes', {'image': 1}])
def test_other_things_raise_errors(image):
    with pytest.raises(TypeError, match=f'got a {type(image).__name__}'):
        READ(image)


def test_a_cmyk_jpeg_is_read_as_the_datasets_read_it(tmp_path):
    file = tmp_path / 'image.jpg'
    Image.fromarray(QUARTERS).convert('CMYK').save(file)
    pixels = READ(file).pixels
    assert np.array_equal(pixels, LoadImage().transform({'img_path': str(file)})['img'])
    assert pixels[8, 8, 0] > 200 > 60 > pixels[8, 8, 2]


def test_too_large_is_rejected_before_anything_is_decoded(tmp_path):
    Image.fromarray(QUARTERS).save(tmp_path / 'image.png')
    # Cut after the header: decoding it would fail otherwise.
    (tmp_path / 'image.png').write_bytes((tmp_path / 'image.png').read_bytes()[:60])
    reader = ImageReader(max_pixels=6000)
    message = re.escape('is 96 x 64 pixels, 0 megapixels, more than max_pixels=6,000')
    for image in (tmp_path / 'image.png', QUARTERS, Image.fromarray(QUARTERS), torch.zeros(3, 64, 96)):
        with pytest.raises(ValueError, match=message):
            reader(image)
    assert ImageReader(max_pixels=6144)(QUARTERS).size == (64, 96)


def test_a_bomb_is_rejected(tmp_path, monkeypatch):
    Image.fromarray(QUARTERS).save(tmp_path / 'image.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    with pytest.raises(ValueError, match=r'image\.png is larger than PIL decodes'):
        READ(tmp_path / 'image.png')


def test_a_side_too_long_is_rejected():
    with pytest.raises(ValueError, match='sides up to 32,766'):
        READ(np.zeros((2, 32767, 3), np.uint8))


@pytest.mark.parametrize(('content', 'message'), [
    (b'', 'it is empty'),
    (b'<!DOCTYPE html><html>', 'a web page'),
    (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', "it starts with b'%!PS"),
    (b'\x00\x00\x00\x18ftypheic\x00\x00\x00\x00', "a 'heic' file; for HEIC install pillow-heif"),
    (encoded(Image.fromarray(QUARTERS), 'JPEG')[:-20], 'is truncated: a JPEG without its end'),
    (encoded(Image.fromarray(QUARTERS), 'JPEG')[:300], 'it is damaged or truncated'),
    (encoded(Image.fromarray(QUARTERS), 'PNG')[:-60], 'it is damaged or truncated'),
    (encoded(Image.fromarray(QUARTERS), 'PNG')[:40], 'it starts as one, but is damaged or truncated'),
])
def test_damaged_files_raise_errors(tmp_path, content, message):
    file = tmp_path / 'image.jpg'
    file.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        READ(file)
    assert str(file) in str(caught.value)


def test_places_that_are_no_image_raise_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'the image .*none\.jpg does not exist'):
        READ(tmp_path / 'none.jpg')
    with pytest.raises(ValueError, match='is a folder, not an image'):
        READ(tmp_path)
    for url in ('file:///etc/hostname', 'ftp://example.org/image.jpg', 'data://image'):
        with pytest.raises(ValueError, match='http and https only'):
            READ(url)


def test_messages_have_the_names(tmp_path):
    Image.fromarray(QUARTERS).save(tmp_path / 'image.png')
    assert READ(tmp_path / 'image.png').name == str(tmp_path / 'image.png')
    assert READ(Image.open(tmp_path / 'image.png')).name == str(tmp_path / 'image.png')
    assert READ(QUARTERS).name == 'an array'


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.fromarray(QUARTERS), Image.fromarray(255 - QUARTERS)]
    frames[0].save(tmp_path / 'image.webp', save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(READ(tmp_path / 'image.webp').pixels, QUARTERS)
