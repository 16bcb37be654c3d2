"""Pascal-Part-116's label maps."""
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_pascal_part_116
from mmpartref.datasets.converters.published.pascal_part_116 import CATEGORIES, OBJECTS
from mmpartref.datasets.converters.standard_json import write_documents

LABELS = {each['name']: each['id'] for each in CATEGORIES}
SIZE = (6, 9)
PARTS, OBJ = 'annotations_detectron2_part', 'annotations_detectron2_obj'


def write_image(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if mode == 'P':  # the palette must not matter
        image = image.copy()
        image.putpalette([255 - value // 3 for value in range(768)])
    image.save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A bird with two wings and a pot; one wing pixel is outside the bird."""
    folder = tmp_path / 'PascalPart116'
    parts, objects = (np.full(SIZE, 255, np.uint8) for _ in range(2))
    parts[0, 0:3] = parts[0, 7:9] = LABELS["bird's wing"]
    parts[5, :4] = LABELS["pottedplant's pot"]
    objects[0, 0:8], objects[5] = OBJECTS.index('bird'), OBJECTS.index('pottedplant')
    write_image(folder / PARTS / 'train' / '2008_000008.png', parts, 'P')
    write_image(folder / OBJ / 'train' / '2008_000008.png', objects)
    write_image(folder / 'images' / 'train' / '2008_000008.jpg', np.zeros((*SIZE, 3), np.uint8))
    write_image(folder / 'images' / 'train' / '2008_000009.jpg', np.zeros((*SIZE, 3), np.uint8))
    write_image(folder / PARTS / 'train' / '2008_000010.png', parts)
    (folder / 'images' / 'train' / '._2008_000008.jpg').write_bytes(b'')
    return folder


def test_maps_become_parts(root: Path, tmp_path: Path) -> None:
    documents, lines = convert_pascal_part_116(root)
    assert lines == [
        'train: label maps: 2 read, 1 written; dropped: 1 without an image; 1 images with parts, 1 images without a '
        'map, 1 hidden files ignored',
        'train: parts: 2 read, 2 written; 1 extend outside their object',
        'train: 2 categories in these images, but 116 are published']
    path, = write_documents(documents, tmp_path / 'out')
    assert path.name == 'pascal_part_116_train.json'
    entry, = list(PartReferDataset(ann_file=str(path)))
    assert [(ref['expressions'], ref['source'], int(coco_mask.area(ref['rles'][0]))) for ref in entry['refs']] == [
        (['bird wing'], 'Pascal-Part-116', 5), (['potted plant pot'], 'Pascal-Part-116', 4)]
    assert np.flatnonzero(coco_mask.decode(entry['refs'][0]['rles'][0])).tolist() == [0, 1, 2, 7, 8]
    assert entry['img_path'] == '2008_000008.jpg'


def test_without_object_maps_parts_are_not_compared_with_objects(root: Path) -> None:
    (root / OBJ / 'train' / '2008_000008.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'annotations_detectron2_obj/train/2008_000008\.png does not exist'):
        convert_pascal_part_116(root)
    (root / OBJ / 'train').rmdir()
    assert 'not compared with objects, since there is no annotations' in convert_pascal_part_116(root)[1][1]


def test_all_116_are_as_published(root: Path) -> None:
    whole = np.full((12, 10), 255, np.uint8)
    whole.flat[:116] = range(116)
    write_image(root / 'images' / 'val' / '2008_1.jpg', np.zeros((12, 10, 3), np.uint8))
    write_image(root / PARTS / 'val' / '2008_1.png', whole)
    documents, lines = convert_pascal_part_116(root)
    assert list(documents) == ['pascal_part_116_train', 'pascal_part_116_val']
    assert lines[-1] == 'val: 116 categories in these images, as published'


@pytest.mark.parametrize(('pixels', 'message'), [
    (np.full(SIZE, 116, np.uint8), 'has the label 116, but there are 0 to 115 and 255'),
    (np.zeros((9, 6), np.uint8), r'is \(9, 6\) \(height, width\), but .*2008_000008\.jpg is \(6, 9\)'),
    (np.zeros((*SIZE, 3), np.uint8), r'has shape \(6, 9, 3\) of uint8, but a label map has one channel'),
])
def test_faulty_maps_are_rejected(pixels: np.ndarray, message: str, root: Path) -> None:
    write_image(root / PARTS / 'train' / '2008_000008.png', pixels)
    with pytest.raises(ValueError, match=rf'2008_000008\.png {message}'):
        convert_pascal_part_116(root)


def test_damaged_and_missing_files_are_rejected(root: Path, tmp_path: Path) -> None:
    path = root / PARTS / 'train' / '2008_000008.png'
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match=r'2008_000008\.png is not a complete image'):
        convert_pascal_part_116(root)
    (root / 'images' / 'train' / '2008_000008.jpg').write_bytes(b'no')
    with pytest.raises(ValueError, match=r'2008_000008\.jpg is not a complete image'):
        convert_pascal_part_116(root)
    with pytest.raises(FileNotFoundError, match='has neither annotations_detectron2_part/train nor'):
        convert_pascal_part_116(tmp_path)


def test_the_tool_writes_what_the_config_reads(root: Path, tmp_path: Path, convert_tool: Callable,
                                               build_config: Callable) -> None:
    status, lines = convert_tool('pascal_part_116', root, '--out', tmp_path / 'pascal_part_116')
    assert (status, lines[-1]) == (0, f'wrote {tmp_path}/pascal_part_116/pascal_part_116_train.json')
    dataset, = build_config('pascal_part_116', tmp_path).values()
    assert tuple(dataset[0]['inputs'].shape) == (3, 416, 416)
    assert len(dataset[0]['data_samples'].refs) == 2
    (root / PARTS / 'train' / '2008_000008.png').write_bytes(b'')
    status, lines = convert_tool('pascal_part_116', root, '--out', tmp_path / 'other')
    assert (status, len(lines)) == (2, 1)


def test_file_names_that_are_not_utf8_are_named(root: Path, tmp_path: Path, convert_tool: Callable) -> None:
    for folder, suffix in ((f'{PARTS}/train', 'png'), (f'{OBJ}/train', 'png'), ('images/train', 'jpg')):
        path = root / folder / f'2008_000008.{suffix}'
        path.rename(path.with_name(f'a\udcff.{suffix}'))
    status, lines = convert_tool('pascal_part_116', root, '--out', tmp_path / 'out')
    assert (status, len(lines)) == (2, 1)
    assert r"'a\udcff' contains half a character" in lines[0]
    assert not (tmp_path / 'out').exists()


def test_folders_that_are_not_utf8_are_read(root: Path, tmp_path: Path, convert_tool: Callable) -> None:
    other = root.rename(tmp_path / '\udcff')
    status, lines = convert_tool('pascal_part_116', other, '--out', other / 'out')
    assert status == 0
    assert r'\udcff/out/pascal_part_116_train.json' in lines[-1]
