"""Image files with something wrong in them: decoded to the size they have, or rejected by name."""
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import mmcv
import numpy as np
import pytest
from bad_input import Tally
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmpartref.datasets.transforms import LoadImage
from mmpartref.doctor.checks.check_images import read_header
from mmpartref.errors import BadImageError
from mmpartref.images.read_image import ImageReader

AT_LEAST = 1000
MORE = int(os.environ.get('FUZZ', '1'))
H, W = 24, 32
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM')


def encoded(kind: str, size: tuple[int, int] = (W, H)) -> bytes:
    """Return a file of noise, so that every byte matters."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('images')


def try_both(content: bytes, path: Path, tally: Tally) -> None:
    """Read a file as the datasets do, and as the inferencer does."""
    path.write_bytes(content)
    record = {'img_path': str(path), 'img_id': 17, 'height': H, 'width': W}
    read = tally.attempt(lambda: LoadImage()(record), f'{path} (image 17)')
    if read is not None:
        assert read['img'].shape == (H, W, 3)
        assert read['img'].dtype == np.uint8
    skipped = LoadImage()({**record, 'on_bad_image': 'skip'})
    assert ('skipped' in skipped) == (read is None)
    assert skipped['img'].shape == (H, W, 3)
    image = tally.attempt(lambda: ImageReader(max_pixels=100_000)(path), str(path))
    assert image is None or image.pixels.ndim == 3
    read_header(content)


@pytest.mark.parametrize('kind', FORMATS)
def test_cut_off_at_any_byte(kind: str, folder: Path, tally: Tally) -> None:
    content = encoded(kind)
    path = folder / f'cut.{kind.lower()}'
    for length in range(0, len(content), max(1, len(content) // (30 * MORE))):
        try_both(content[:length], path, tally)
    for length in (0, 1, 2, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(BadImageError):
            LoadImage()({'img_path': str(path), 'img_id': 1, 'height': H, 'width': W})


@pytest.mark.parametrize('kind', FORMATS)
def test_flipped_bytes(kind: str, folder: Path, tally: Tally) -> None:
    content = encoded(kind)
    rng = np.random.default_rng(1)
    head = [(place, mask) for place in range(min(64, len(content))) for mask in (0x80, 0xff)][::1 if MORE > 1 else 4]
    anywhere = (rng.integers(0, len(content), 20 * MORE), rng.integers(1, 256, 20 * MORE))
    for place, mask in [*head, *zip(*anywhere, strict=True)]:
        try_both(content[:place] + bytes([content[place] ^ int(mask)]) + content[place + 1:],
                 folder / f'flip.{kind.lower()}', tally)


@settings(max_examples=100 * MORE, deadline=None, derandomize=True, database=None,
          suppress_health_check=list(HealthCheck))
@given(st.sampled_from(FORMATS), st.binary(max_size=200), st.integers(0, 40))
def test_a_head_and_then_anything(folder: Path, tally: Tally, kind: str, rest: bytes, kept: int) -> None:
    try_both(encoded(kind)[:kept] + rest, folder / 'anything.jpg', tally)


@pytest.mark.parametrize('content', [
    b'', b'\0', b'\0' * 4096, b'\xff' * 4096, b'hello', b'{"images": []}', b'<!doctype html><title>404</title>',
    b'<svg/>', b'%PDF-1.7\n', b'PK\x03\x04' + b'\0' * 60, b'\x80\x04.', b'GIF89a', b'BM', b'RIFF\x04\0\0\0WEBP',
    b'II*\0', b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff\xd9', b'P6\n99999 99999\n255\n', b'P6\n-1 -1\n255\n',
    b'\0\0\0\x18ftypheic' + b'\0' * 40, b'%!PS-Adobe\n',
    b'#!/bin/sh\ntouch /tmp/x\n', b'\x7fELF', b'v/1\x01', b'#?RADIANCE\n\n-Y 99999 +X 99999\n',
])
def test_files_of_another_kind(content: bytes, folder: Path, tally: Tally) -> None:
    for name in ('other.jpg', 'other.png', 'other'):
        try_both(content, folder / name, tally)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def bombs(side: int) -> dict[str, bytes]:
    """Files of a few hundred bytes that announce side x side pixels."""
    png = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)) + chunk(
        b'IDAT', zlib.compress(b'\0' * 10_000)) + chunk(b'IEND', b'')
    short = min(side, 65535)
    jpeg = bytearray(encoded('JPEG'))
    frame = jpeg.index(b'\xff\xc0')
    jpeg[frame + 5:frame + 9] = struct.pack('>HH', short, short)
    bmp = bytearray(encoded('BMP'))
    bmp[18:26] = struct.pack('<ii', side, side)
    gif = bytearray(encoded('GIF'))
    gif[6:10] = struct.pack('<HH', short, short)
    return {'png': png, 'jpeg': bytes(jpeg), 'bmp': bytes(bmp), 'gif': bytes(gif),
            'ppm': f'P6\n{side} {side}\n255\n'.encode() + b'\0' * 64}


@pytest.mark.parametrize('side', [9_000, 12_000, 30_000, 65_535, 2**31 - 1])
def test_decompression_bombs_are_rejected_by_their_header(side: int, folder: Path, tally: Tally,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    def make_room(*_: object, **__: object) -> None:
        raise AssertionError('the bomb was decoded')

    monkeypatch.setattr(mmcv, 'imfrombytes', make_room)
    for kind, content in bombs(side).items():
        path = folder / f'bomb.{kind}'
        path.write_bytes(content)
        if kind == 'ppm' and side > 65_535:
            continue
        record = {'img_path': str(path), 'img_id': 17, 'height': H, 'width': W}
        assert tally.attempt(lambda record=record: LoadImage()(record), f'{path} (image 17)') is None, kind
        assert tally.attempt(lambda path=path: ImageReader(max_pixels=50_000_000)(path), str(path)) is None, kind


@pytest.mark.parametrize('make', [Path.mkdir, lambda path: path.symlink_to(path.name), lambda path: None])
def test_special_files_are_rejected(make: Callable[[Path], None], folder: Path, tally: Tally) -> None:
    path = folder / f'no_file_{tally.tried}'
    make(path)
    record = {'img_path': str(path), 'img_id': 17, 'height': H, 'width': W}
    assert tally.attempt(lambda: LoadImage()(record), f'{path} (image 17)') is None
    assert tally.attempt(lambda: ImageReader()(path), str(path)) is None


def test_files_that_are_whole_pass(folder: Path) -> None:
    for kind in FORMATS:
        path = folder / f'whole.{kind.lower()}'
        path.write_bytes(encoded(kind))
        assert LoadImage()({'img_path': str(path), 'img_id': 1, 'height': H, 'width': W})['img'].shape == (H, W, 3)
        assert ImageReader()(path).size == (H, W)


def arrays() -> st.SearchStrategy:
    dtypes = st.sampled_from([np.uint8, np.uint16, np.int64, np.float32, np.float64, bool, object, complex, 'U3',
                              'M8[s]'])
    shapes = st.lists(st.integers(0, 5), max_size=5).map(tuple)
    return st.builds(lambda shape, dtype, fill: np.full(shape, fill).astype(dtype), shapes, dtypes,
                     st.sampled_from([0, 1, 255]))


@settings(max_examples=150 * MORE, deadline=None, derandomize=True, database=None,
          suppress_health_check=list(HealthCheck))
@given(st.one_of(arrays(), st.none(), st.integers(), st.binary(max_size=9), st.lists(st.integers(), max_size=3),
                 st.text(alphabet='abc/\0\n\ud800.', max_size=5),
                 st.sampled_from([np.nan, np.full((2, 2, 3), np.nan)])))
def test_objects_that_are_not_images(tally: Tally, thing: object) -> None:
    tally.attempt(lambda: ImageReader()(thing), kinds=(ValueError, TypeError, FileNotFoundError))
