"""PASCAL-Part's .mat files."""
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy.io import loadmat, savemat

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_pascal_part
from mmpartref.datasets.converters.published.pascal_part_names import category_names
from mmpartref.datasets.converters.standard_json import write_documents

OBJECT = np.dtype([('class', object), ('class_ind', object), ('mask', object), ('parts', object)])
PART = np.dtype([('part_name', object), ('mask', object)])


def mask(rows: slice, columns: slice, size: tuple[int, int] = (6, 9)) -> np.ndarray:
    pixels = np.zeros(size, np.uint8)
    pixels[rows, columns] = 1
    return pixels


def thing(name: str, parts: dict[str, np.ndarray], pixels: np.ndarray | None = None) -> tuple:
    """An object as MATLAB's struct array has it; no part is an empty 0 x 0 array."""
    records = np.array([list(parts.items())], dtype=object)
    struct = np.zeros((1, len(parts)), PART) if parts else np.zeros((0, 0))
    for index, (part, pixels_of_part) in enumerate(records[0] if parts else ()):
        struct[0, index] = (part, pixels_of_part)
    return name, 1, mask(slice(None), slice(None)) if pixels is None else pixels, struct


def write_mat(folder: Path, name: str, *objects: tuple, imname: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    struct = np.zeros((1, len(objects)), OBJECT)
    for index, each in enumerate(objects):
        struct[0, index] = each
    path = folder / f'{name}.mat'
    savemat(path, {'anno': {'imname': imname or name, 'objects': struct}}, do_compression=True)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A car with two wheels and a plate outside it, a horse with a leg, a chair; an image of a chair alone."""
    parts = tmp_path / 'Annotations_Part'
    car = {'wheel_1': mask(slice(4, 6), slice(0, 2)), 'wheel_2': mask(slice(4, 6), slice(5, 7)),
           'fliplate': mask(slice(0, 1), slice(8, 9)), 'door_1': mask(slice(0, 0), slice(0, 0))}
    write_mat(parts, '2008_000002', thing('car', car, mask(slice(2, 6), slice(0, 7))),
              thing('horse', {'lfuleg': mask(slice(0, 3), slice(7, 9))}), thing('chair', {}))
    write_mat(parts, '2008_000003', thing('chair', {}))
    return parts


def test_parts_reach_the_dataset_in_words(folder: Path, tmp_path: Path) -> None:
    document, lines = convert_pascal_part(folder)
    assert lines == [
        'images: 2 read, 2 written; dropped: 0 without an object; 1 of them with parts',
        'objects: 4 read, 2 of them with parts; only the parts are written',
        'parts: 5 read, 4 written; dropped: 1 with an empty mask; 1 extend outside their object',
        '193 categories of parts, 3 of them in these images',
        f'2 .mat files in {folder}, but 10,103 are published']
    path, = write_documents({'all': document}, tmp_path / 'out')
    entry, = list(PartReferDataset(ann_file=str(path)))
    assert (entry['img_path'], entry['height'], entry['width']) == ('2008_000002.jpg', 6, 9)
    assert [(ref['expressions'], ref['source'], [int(coco_mask.area(rle)) for rle in ref['rles']])
            for ref in entry['refs']] == [
        (['car wheel'], 'PASCAL-Part', [4, 4]), (['car front license plate'], 'PASCAL-Part', [1]),
        (['horse left front upper leg'], 'PASCAL-Part', [6])]
    decoded = coco_mask.decode(entry['refs'][0]['rles'][1])
    assert np.array_equal(decoded, mask(slice(4, 6), slice(5, 7)))
    assert [each['object_id'] for each in document['annotations']] == [1, 1, 1, 2]


def test_a_list_of_images_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'val.txt').write_text('2008_000003\n')
    document, _ = convert_pascal_part(folder, tmp_path / 'val.txt')
    assert [image['file_name'] for image in document['images']] == ['2008_000003.jpg']
    for content, error, message in (('2008_000009\n', FileNotFoundError, 'names 2008_000009, but .* has no 2008_'),
                                    ('2008_000002 -1\n', ValueError, "line 1: '2008_000002 -1' is not the name of"),
                                    ('2008_000002\n' * 2, ValueError, "line 2: '2008_000002' is not the name of"),
                                    ('\n', ValueError, 'has no image name')):
        (tmp_path / 'val.txt').write_text(content)
        with pytest.raises(error, match=message):
            convert_pascal_part(folder, tmp_path / 'val.txt')


@pytest.mark.parametrize(('objects', 'more', 'message'), [
    ([thing('lorry', {})], {}, r"2009_1\.mat: object 1: its class 'lorry' is not one of VOC's"),
    ([thing('car', {'sail': mask(slice(1), slice(1))})], {}, r"object 1 \(car\), part 1: 'sail' is not a part of "),
    ([thing('chair', {'leg': mask(slice(1), slice(1))})], {}, "'leg' is not a part of PASCAL-Part's chair"),
    ([thing('car', {'wheel_1': mask(slice(1), slice(1), (9, 6))})], {}, r'part 1: its mask is \(9, 6\) of uint8, not'),
    ([thing('car', {'wheel_1': np.ones((6, 9))})], {}, 'part 1: its mask is .* of float64'),
    ([thing('car', {})], {'imname': '2008_7'}, "it is of the image '2008_7'"),
])
def test_faulty_records_are_rejected(objects: list, more: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_mat(tmp_path / 'parts', '2009_1', *objects, **more)
    with pytest.raises(ValueError, match=message):
        convert_pascal_part(tmp_path / 'parts')


def test_damaged_files_are_rejected(folder: Path) -> None:
    path = folder / '2008_000003.mat'
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(ValueError, match=r'2008_000003\.mat is not a complete \.mat'):
        convert_pascal_part(folder)
    savemat(path, {'other': 1})
    with pytest.raises(ValueError, match=r"2008_000003\.mat has no 'anno'"):
        convert_pascal_part(folder)
    with pytest.raises(FileNotFoundError, match='is not a folder'):
        convert_pascal_part(folder / 'nothing')


def test_images_without_objects_and_hidden_files_are_counted(folder: Path) -> None:
    write_mat(folder, '2008_000004')
    (folder / '._2008_000004.mat').write_bytes(b'')
    lines = convert_pascal_part(folder)[1]
    assert lines[0].startswith('images: 3 read, 2 written; dropped: 1 without an object')
    assert lines[-1] == f'3 .mat files in {folder}, but 10,103 are published; 1 hidden files ignored'


def test_without_scipy_the_message_names_the_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'scipy.io', None)
    with pytest.raises(ImportError, match=r'PASCAL-Part is read with SciPy, .*; pip install scipy, or'):
        convert_pascal_part(folder)


def test_every_name_has_different_words() -> None:
    names = category_names()
    assert len(names) == len({(owner, part) for _, owner, part in names}) == 193
    assert ('pottedplant:pot', 'potted plant', 'pot') in names


def test_the_tool_writes_what_the_config_reads(folder: Path, tmp_path: Path, convert_tool: Callable,
                                               build_config: Callable) -> None:
    (tmp_path / 'train.txt').write_text('2008_000002\n')
    arguments = ('pascal_part', folder, '--images', tmp_path / 'train.txt', '--out', tmp_path / 'pascal_part')
    status, lines = convert_tool(*arguments)
    assert (status, lines[-1]) == (0, f'wrote {tmp_path}/pascal_part/pascal_part_train.json')
    dataset, = build_config('pascal_part', tmp_path).values()
    assert dataset.get_data_info(0)['img_path'] == f'{tmp_path}/VOCdevkit/VOC2010/JPEGImages/2008_000002.jpg'
    (folder / '2008_000002.mat').write_bytes(b'MATLAB')
    status, lines = convert_tool(*arguments[:-1], tmp_path / 'other')
    assert (status, len(lines)) == (2, 1)
    assert 'is not a complete .mat' in lines[0]
    assert convert_tool('pascal_part', folder / 'nothing', '--out', tmp_path / 'other') == (
        2, [f'{folder}/nothing is not a folder; unpack the whole archive'])


def crash(path: Path) -> None:
    """Write a .mat that ends a process which reads it with SciPy: an uncompressed one with a flipped bit."""
    content = loadmat(path)
    savemat(path, {'anno': content['anno']}, do_compression=False)
    damaged = bytearray(path.read_bytes())
    damaged[236] ^= 1  # the number of bytes of a shape
    path.write_bytes(damaged)


def test_a_mat_that_crashes_scipy_is_named(folder: Path) -> None:
    path = write_mat(folder, 'a', thing('car', {'wheel_1': mask(slice(1), slice(1))}))
    crash(path)
    program = f'from scipy.io import loadmat; loadmat({str(path)!r}, simplify_cells=True)'
    code = subprocess.run([sys.executable, '-c', program], stderr=subprocess.DEVNULL, check=False).returncode
    assert code == -signal.SIGSEGV
    with pytest.raises(ValueError, match=r'a\.mat is not a complete \.mat \(the process that reads it ends '
                                         'with code -11'):
        convert_pascal_part(folder)


def test_damaged_mats_are_skipped_and_named(folder: Path, tmp_path: Path, convert_tool: Callable) -> None:
    for name in ('a', 'b'):
        crash(write_mat(folder, name, thing('car', {'wheel_1': mask(slice(1), slice(1))})))
    # Its second object is malformed: nothing of the first is written.
    write_mat(folder, '2008_000005', thing('car', {'wheel_1': mask(slice(1), slice(1))}), thing('lorry', {}))
    whole = (folder / '2008_000002.mat').read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1  # the checksum
    (folder / '2008_000006.mat').write_bytes(flipped)
    status, lines = convert_tool('pascal_part', folder, '--out', tmp_path / 'out', '--on-error', 'skip')
    assert status == 0
    assert lines[0].startswith('images: 6 read, 2 written; dropped: 0 without an object, 4 that cannot be read; 1 of')
    assert lines[2].startswith('parts: 5 read, 4 written')
    assert [line.split(' is not ')[0].split(': object')[0] for line in lines[5:9]] == [
        f'skipped: {folder}/{name}.mat' for name in ('2008_000005', '2008_000006', 'a', 'b')]
    assert len(json.loads((tmp_path / 'out/pascal_part_all.json').read_text())['images']) == 2
    assert convert_tool('pascal_part', folder, '--out', tmp_path / 'other')[0] == 2


def test_a_mat_that_takes_forever_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmpartref.datasets.converters.published.mat_reader.TIMEOUT', 0.001)
    with pytest.raises(ValueError, match='ends with code -9 or takes over'):
        convert_pascal_part(folder)


def test_a_mask_of_three_values_is_rejected(tmp_path: Path) -> None:
    pixels = mask(slice(1), slice(3))
    pixels[0, 0] = 3
    write_mat(tmp_path / 'parts', '2009_1', thing('car', {'wheel_1': pixels}))
    with pytest.raises(ValueError, match=r'part 1: its mask has more values than 0 and 3'):
        convert_pascal_part(tmp_path / 'parts')


@pytest.mark.parametrize(('content', 'message'), [
    ('2008_000003\n'.encode('utf-16'), 'val.txt is not text in UTF-8 .*; save it as UTF-8'),
    ('2008_000003\n2008_000002'.encode('utf-16-le'), 'val.txt, line 1, has a zero byte, as text in UTF-16 has'),
    ('2008_000003\né'.encode('latin-1'), 'val.txt is not text in UTF-8 .*position 12'),
    (b'2008_000003\n' + b'x' * 5000, "names 'xxxx.*, but .* has no 'xxx")])
def test_lists_in_other_encodings_are_rejected(content: bytes, message: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'val.txt').write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        convert_pascal_part(folder, tmp_path / 'val.txt')
    assert len(str(error.value)) < 1000


def test_a_list_with_a_byte_order_mark_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'val.txt').write_text('2008_000003\r\n', encoding='utf-8-sig')
    assert [image['id'] for image in convert_pascal_part(folder, tmp_path / 'val.txt')[0]['images']] == ['2008_000003']


@pytest.mark.parametrize('key', ['objects', 'parts'])
def test_missing_lists_are_rejected(key: str, tmp_path: Path) -> None:
    """An empty one is a 0 x 0 array; a missing one is a damaged name."""
    path = write_mat(tmp_path / 'parts', '2009_1', thing('car', {}))
    content = loadmat(path)
    savemat(path, {'anno': content['anno']}, do_compression=False)
    path.write_bytes(path.read_bytes().replace(key.encode(), b'x' + key.encode()[1:]))
    with pytest.raises(ValueError, match=f"has no '{key}'"):
        convert_pascal_part(tmp_path / 'parts')
