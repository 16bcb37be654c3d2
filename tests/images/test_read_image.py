import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode

from mmpartref.apis import DecodedImage, ImageReader
from mmpartref.datasets.transforms import LoadImage
from mmpartref.errors import InputError, MMPartRefError

READ = ImageReader()
# Four colours, one per quarter, in whole JPEG blocks.
QUARTERS = np.zeros((64, 96, 3), dtype=np.uint8)
QUARTERS[:32, :48], QUARTERS[:32, 48:], QUARTERS[32:, :48] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
CHANNELS_FIRST = torch.from_numpy(QUARTERS.copy()).permute(2, 0, 1)
with FakeTensorMode():
    FAKE = torch.zeros(3, 4, 5)
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
    (np.ma.masked_greater(QUARTERS, 100), 'has masked pixels'),
    (np.full((4, 5, 3), np.longdouble('1e4000')), 'floats must have values from 0 to 1'),
    (np.zeros((4, 5), [(f'field {number}', 'u1') for number in range(500)]), r'got .{1,90}; convert it'),
    (QUARTERS.astype('>u4'), 'got >u4'),
    (CHANNELS_FIRST.float().to_sparse(), r'got a torch\.sparse_coo one; give tensor\.to_dense'),
    (torch.zeros(3, 4, 5).to_sparse_csr(), r'got a torch\.sparse_csr one'),
    (CHANNELS_FIRST.float().to_mkldnn(), r'got a torch\._mkldnn one'),
    (torch.quantize_per_tensor(torch.zeros(3, 4, 5), 0.1, 0, torch.quint8), r'quantised one; .*dequantize'),
    (torch.zeros(3, 4, 5, device='meta'), 'got a meta one'),
    (torch.nested.nested_tensor([torch.zeros(3, 4), torch.zeros(2, 4)]), 'got a nested one'),
    (torch.nested.nested_tensor([torch.zeros(3, 4), torch.zeros(2, 4)], layout=torch.jagged), 'got a nested one'),
    (torch.zeros(3, 4, 5, dtype=torch.complex64).conj(), 'got complex64'),
    (CHANNELS_FIRST > 9, 'got bool'),
    (FAKE, 'give a plain tensor'),
    (torch.zeros(3, 0, 5), r'got \(0, 5, 3\)'),
])
def test_other_forms_raise_errors(image, message):
    with pytest.raises(ValueError, match=message):
        READ(image)


class Subclass(np.ndarray):
    def __getitem__(self, key: object) -> None:
        raise RuntimeError


@pytest.mark.parametrize('convert', [
    lambda rgb: (rgb.astype(np.uint16) * 257).astype('>u2'),
    lambda rgb: (rgb / 255).astype('>f4'),
    lambda rgb: (rgb / 255).astype(np.float16),
    lambda rgb: (rgb / 255).astype(np.longdouble),
    lambda rgb: np.ma.array(rgb),
    lambda rgb: rgb.view(Subclass),
    lambda rgb: rgb[::-1, ::-1].copy()[::-1, ::-1],
    np.asfortranarray,
    lambda rgb: (torch.from_numpy(rgb / 255).permute(2, 0, 1) * -1j).conj().imag,
    lambda rgb: torch.from_numpy(rgb[:, :, ::-1].copy()).permute(2, 0, 1).flip(0),
], ids=['>u2', '>f4', 'f2', 'longdouble', 'masked', 'subclass', 'negative strides', 'columns', 'negated', 'flipped'])
def test_other_layouts_have_the_same_pixels(convert):
    pixels = READ(convert(QUARTERS.copy())).pixels
    assert type(pixels) is np.ndarray
    assert np.array_equal(pixels, QUARTERS)


@pytest.mark.parametrize('scale', [1, 1 / 255])
def test_a_matrix_is_a_grey_image(scale):
    assert np.array_equal(READ(np.matrix(QUARTERS[:, :, 0] * scale)).pixels[:, :, 2], QUARTERS[:, :, 0])


@pytest.mark.parametrize('view', [
    lambda buffer: buffer, lambda buffer: buffer[:, ::-1], lambda buffer: buffer[:, :, 0],
    lambda buffer: torch.from_numpy(buffer).permute(2, 0, 1), lambda buffer: torch.from_numpy(buffer[None, :, :, 0]),
    lambda buffer: np.frombuffer(memoryview(buffer), np.uint8).reshape(buffer.shape)])
def test_a_buffer_can_be_used_again(view):
    buffer = QUARTERS.copy()
    pixels = READ(view(buffer)).pixels
    before = pixels.copy()
    buffer[:] = 7
    assert np.array_equal(pixels, before)


def test_a_memory_map_is_read_into_memory(tmp_path):
    file = np.memmap(tmp_path / 'image', dtype=np.uint8, mode='w+', shape=QUARTERS.shape)
    file[:] = QUARTERS
    pixels = READ(file).pixels
    file[:] = 0
    assert type(pixels) is np.ndarray
    assert np.array_equal(pixels, QUARTERS)


class Unreadable(Image.Image):
    """An image whose pixels cannot be loaded."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._mode, self._size, self.error = 'RGB', (3, 2), error

    def load(self) -> None:
        raise self.error


@pytest.mark.parametrize('error', [OSError('cut'), KeyError('x'), SyntaxError('two:\nlines'), StopIteration()])
def test_an_image_that_pil_cannot_load_raises_one_sentence(error):
    with pytest.raises(InputError, match=f'^a PIL image cannot be read by PIL .{type(error).__name__}[^\\n]*$'):
        READ(Unreadable(error))


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'JPEG', 'BMP'])
@pytest.mark.parametrize('state', ['closed by with', 'closed', 'truncated'])
def test_a_closed_or_truncated_pil_image_raises_one_sentence(tmp_path, kind, state):
    file = tmp_path / 'image'
    noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8)
    file.write_bytes(encoded(Image.fromarray(noise), kind))
    if state == 'closed by with':
        with Image.open(file) as image:
            pass
    else:
        image = Image.open(file)
        _ = image.close() if state == 'closed' else file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match=r'image cannot be read by PIL [^\n]* load it before its file is closed'):
        READ(image)


def test_a_closed_image_that_was_loaded_is_read(tmp_path):
    Image.fromarray(QUARTERS).save(tmp_path / 'image.png')
    with Image.open(tmp_path / 'image.png') as image:
        image.load()
    (tmp_path / 'image.png').unlink()
    assert np.array_equal(READ(image).pixels, QUARTERS)


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'RGB', 'RGBA', 'CMYK', 'LAB', 'HSV', 'YCbCr', 'I', 'F', 'I;16', 'La'])
@pytest.mark.parametrize('size', [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_pixels_raises_an_error(mode, size):
    with pytest.raises(InputError, match=f'is {size[0]} x {size[1]} pixels, so it has none'):
        READ(Image.new(mode, size))


def test_premultiplied_grey_is_composed_over_white():
    image = Image.fromarray(np.array([[[100, 255], [100, 0]]], dtype=np.uint8), 'LA').convert('La')
    assert READ(image).pixels[0].tolist() == [[100] * 3, [255] * 3]


@pytest.mark.parametrize(('mode', 'transparency'), [('LAB', 0), ('HSV', 0), ('CMYK', None), ('YCbCr', 'x')])
def test_a_transparent_colour_that_a_mode_cannot_have_is_ignored(mode, transparency):
    image = Image.new(mode, (2, 2), 1)
    expected = np.array(image.convert('RGB'))
    image.info['transparency'] = transparency
    assert np.array_equal(READ(image).pixels, expected)


@pytest.mark.parametrize('info', [{'exif': b'damaged'}, {'transparency': 'x'}, {'transparency': None}])
def test_damaged_metadata_raise_one_sentence(info):
    image = Image.new('RGB', (2, 2))
    image.info.update(info)
    with pytest.raises(InputError, match='save it again as RGB'):
        READ(image)


def test_a_damaged_exif_block_of_a_file_raises_one_sentence(tmp_path):
    (tmp_path / 'image.png').write_bytes(encoded(Image.fromarray(QUARTERS), 'PNG', exif=b'II*\0'))
    with pytest.raises(InputError, match=r'image\.png cannot be read by PIL'):
        READ(tmp_path / 'image.png')


@pytest.mark.parametrize('pixels', [
    None, QUARTERS / 255, QUARTERS[:, :, 0], QUARTERS[:0], QUARTERS.tolist(), CHANNELS_FIRST])
def test_a_decoded_image_has_pixels(pixels):
    with pytest.raises(InputError, match=r'must be an array \(h, w, 3\) of uint8, got a '):
        DecodedImage(pixels, 'mine')


def test_limits_are_those_of_the_reader_for_decoded_images_too():
    with pytest.raises(InputError, match=r'mine is 96 x 64 pixels, .* more than max_pixels=6,000'):
        ImageReader(max_pixels=6000)(DecodedImage(QUARTERS, 'mine'))


@pytest.mark.parametrize(('limits', 'error'), [
    *[({name: value}, TypeError) for name in ('max_pixels', 'max_bytes')
      for value in (1.5, '5', None, True, float('nan'), [], np.array([1, 2]), np.float32(2))],
    *[({name: value}, ValueError) for name in ('max_pixels', 'max_bytes') for value in (0, -1, np.int64(0))],
    *[({'timeout': value}, TypeError) for value in ('x', None, True, [], 1j, np.array(1.0))],
    *[({'timeout': value}, ValueError) for value in (0, -1, float('nan'), float('inf'), 1e12, 10**400)],
])
def test_limits_are_checked(limits, error):
    with pytest.raises(error, match=f'^{next(iter(limits))}=[^\\n]+(should|must) be') as caught:
        ImageReader(**limits)
    assert isinstance(caught.value, MMPartRefError)


def test_limits_may_be_numbers_of_numpy():
    reader = ImageReader(np.int32(2**30), np.uint16(7), np.float32(2))
    assert (reader.max_pixels, reader.max_bytes, reader.timeout) == (2**30, 7, 2.0)
    assert {type(reader.max_pixels), type(reader.max_bytes)} == {int}  # products do not overflow


class PathLike:
    def __init__(self, path: object) -> None:
        self.path = path

    def __fspath__(self) -> object:
        return self.path


@pytest.mark.parametrize(('path', 'error', 'message'), [
    ('', ValueError, 'the path of an image is empty'), ('.', ValueError, 'is a folder'),
    ('\0', FileNotFoundError, r"'\x00' does not exist"), ('a/' * 2600, FileNotFoundError, 'does not exist'),
    ('\ud800', FileNotFoundError, r"'\ud800' does not exist"), (PathLike(b'none'), FileNotFoundError, 'none does not'),
    (PathLike(5), TypeError, 'the image should be a string or a Path'), (['a.png'], TypeError, 'got a list'),
    (iter(['a.png']), TypeError, 'got a list_iterator; several are given as a list'),
    (bytearray(b'a.png'), TypeError, 'got a bytearray'), (True, TypeError, 'got a bool'),
])
def test_paths_that_name_no_file_raise_one_sentence(path, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        READ(path)
    assert isinstance(caught.value, MMPartRefError)
    assert '\n' not in str(caught.value)


def test_path_likes_are_read(tmp_path):
    Image.fromarray(QUARTERS).save(tmp_path / 'image.png')
    image = Image.open(tmp_path / 'image.png')
    image.filename = bytes(tmp_path / 'image.png')
    for path in (PathLike(str(tmp_path / 'image.png')), PathLike(bytes(tmp_path / 'image.png')), image):
        assert READ(path).name == str(tmp_path / 'image.png')


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
