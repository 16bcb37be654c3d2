"""A sound tree has no finding; a tree in which every known fault is planted once has exactly these."""
import copy
import hashlib
import io
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartImageNetReferringDataset
from mmpartref.datasets.coco.check_masks import ring_fault
from mmpartref.datasets.coco.finding_codes import ERROR
from mmpartref.datasets.coco.findings import Findings
from mmpartref.datasets.coco.validate import CocoParts, validate
from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, load_synsets
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.doctor import CODES, Limits, examination, examine
from mmpartref.doctor.checks import check_images
from mmpartref.doctor.checks.check_label_maps import describe_map_difference
from mmpartref.doctor.checks.check_splits import compare_counts, identify
from mmpartref.doctor.part_counts import PartCounts
from mmpartref.doctor.repair.fix_records import RecordFixer
from mmpartref.doctor.repair.write_repaired import format_repairs, repair
from mmpartref.masks.polygons import clip_ring
from mmpartref.masks.rle import rle_from_segmentation

ROOT = Path(__file__).parents[2]
SIDE = 32
DOG = 'n02085782'
NAMES = [name.replace('Tier', 'Tire') for name in CATEGORY_NAMES]
HEAD, BODY, FOOT, CAR_BODY = (NAMES.index(name) for name in ('Quadruped Head', 'Quadruped Body', 'Quadruped Foot',
                                                             'Car Body'))
SNAKE_BODY, BICYCLE_TIRE = NAMES.index('Snake Body'), NAMES.index('Bicycle Tire')


def box(x: float, y: float, width: float, height: float) -> list[float]:
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def encode(mask: np.ndarray) -> dict:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': rle['size'], 'counts': rle['counts'].decode()}


def as_jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'JPEG', **options)
    return buffer.getvalue()


def noise(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


class Plant(NamedTuple):
    code: str
    split: str
    record: str


class Tree:
    """A dataset in memory: json documents, images and label maps. ``write`` writes it in the Seg split's layout."""

    def __init__(self, images: int = 6) -> None:
        self.documents: dict[str, dict] = {}
        self.files: dict[str, bytes] = {}
        self.maps: dict[str, np.ndarray] = {}
        self.planted: list[Plant] = []
        self.last = 100
        for split in ('train', 'val', 'test'):
            self.documents[split] = {'images': [], 'annotations': [], 'categories': [
                {'id': i, 'name': name, 'supercategory': name.split()[0]} for i, name in enumerate(NAMES)]}
            for _ in range(images):
                self.add_image(split)

    def next_id(self) -> int:
        self.last += 1
        return self.last

    def add_image(self, split: str = 'train', file_name: str = '') -> dict:
        """Add a dog of three parts, one of them an RLE; returns the image's record."""
        number = self.next_id()
        image = {'id': number, 'file_name': file_name or f'{DOG}_{number}.JPEG', 'height': SIDE, 'width': SIDE}
        self.documents[split]['images'].append(image)
        self.files[f'images/{split}/{image["file_name"]}'] = as_jpeg(noise(number))
        self.maps[self.map_of(split, image)] = np.full((SIDE, SIDE), 40, np.uint8)
        corner = np.zeros((SIDE, SIDE), bool)
        corner[24:, 24:] = True
        for category, segmentation in ((HEAD, [box(2, 2, 8, 8)]), (BODY, [box(12, 2, 14, 12)]), (FOOT, encode(corner))):
            self.add_part(image, category, segmentation, split)
        return image

    def map_of(self, split: str, image: dict) -> str:
        return f'annotations/{split}/{Path(image["file_name"]).stem}.png'

    def add_part(self, image: dict, category: int, segmentation: Any, split: str = 'train', **keys: Any) -> dict:
        """Add an annotation, its pixels to the label map; returns the record."""
        rle = rle_from_segmentation(segmentation, SIDE, SIDE)[0]
        part = {'id': self.next_id(), 'image_id': image['id'], 'category_id': category, 'iscrowd': 0,
                'segmentation': segmentation, 'area': int(coco_mask.area(rle)), 'bbox': coco_mask.toBbox(rle).tolist()}
        self.maps[self.map_of(split, image)][coco_mask.decode(rle) > 0] = category
        self.documents[split]['annotations'].append({**part, **keys})
        return self.documents[split]['annotations'][-1]

    def damage(self, **keys: Any) -> dict:
        """Add an image and change keys of its first part."""
        image = self.add_image()
        part = self.documents['train']['annotations'][-3]
        assert part['image_id'] == image['id']
        part.update(keys)
        return part

    def erase(self, part: dict) -> None:
        """Take a part's category out of the label map."""
        labels = self.maps[f'annotations/train/{DOG}_{part["image_id"]}.png']
        labels[labels == part['category_id']] = 40

    def plant(self, code: str, kind: str, record: dict | None, split: str = 'train') -> None:
        """Note a fault as planted in a record."""
        self.planted.append(Plant(code, split, f'{kind} {record["id"]}' if record else ''))

    def write(self, root: Path) -> Path:
        for split, document in self.documents.items():
            path = root / 'annotations' / split / f'{split}.json'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document))
        contents = dict(self.files)
        for name, labels in self.maps.items():
            buffer = io.BytesIO()
            Image.fromarray(labels).save(buffer, 'PNG')
            contents.setdefault(name, buffer.getvalue())
        for name, content in contents.items():
            path = root / name.replace('\\', '/')
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root


def plant_records(tree: Tree) -> None:
    train = tree.documents['train']
    train['images'].append({'id': 9000, 'file_name': f'{DOG}_9000.JPEG', 'width': SIDE})
    tree.plant('bad-record', 'image', train['images'][-1])
    train['images'].append(dict(tree.add_image()))
    tree.plant('duplicate-image-id', 'image', train['images'][-1])
    part = tree.damage(id=1)
    train['annotations'][-1]['id'] = 1
    tree.plant('duplicate-annotation-id', 'annotation', part)
    train['categories'].append(dict(train['categories'][0]))
    tree.plant('duplicate-category-id', 'category', train['categories'][0])
    image = tree.add_image()
    twin = {**image, 'id': tree.next_id()}
    train['images'].append(twin)
    train['annotations'] += [{**part, 'id': tree.next_id(), 'image_id': twin['id']}
                             for part in train['annotations'][-3:]]
    tree.plant('duplicate-file-name', 'image', twin)
    for code, keys in (('dangling-image-id', {'image_id': 9001}), ('dangling-category-id', {'category_id': 77})):
        part = {**tree.damage(), **keys, 'id': tree.next_id()}
        train['annotations'].append(part)
        tree.plant(code, 'annotation', part)
    for code, name in (('same-meaning', 'Car Tier'), ('unknown-category', 'Teapot Spout')):
        train['categories'].append({'id': tree.next_id(), 'name': name})
        tree.plant(code, 'category', train['categories'][-1])
    train['categories'][BICYCLE_TIRE]['name'] = 'Bicycle Tier'
    tree.plant('alias-name', 'category', train['categories'][BICYCLE_TIRE])
    del train['categories'][SNAKE_BODY]
    tree.plant('missing-category', '', None)
    image = tree.add_image(file_name=f'{DOG}\\{DOG}_9002.JPEG')
    tree.maps[f'annotations/train/{DOG}_9002.png'] = tree.maps.pop(tree.map_of('train', image))
    tree.plant('backslash-in-file-name', 'image', image)
    image = tree.add_image()
    del train['annotations'][-3:]
    tree.maps[tree.map_of('train', image)][:] = 40
    tree.plant('image-without-parts', 'image', image)
    tree.plant('unknown-synset', 'image', tree.add_image(file_name='holiday_1.JPEG'))
    image = tree.add_image()
    tree.add_part(image, CAR_BODY, [box(2, 18, 8, 8)])
    tree.plant('other-super-category', 'image', image)


def plant_masks(tree: Tree) -> None:
    faults: dict[str, dict] = {
        'crowd-annotation': {'iscrowd': 1},
        'bad-segmentation': {'segmentation': 'head'},
        'short-ring': {'segmentation': [box(2, 2, 8, 8), [2, 2, 9, 9]]},
        'zero-area-ring': {'segmentation': [box(2, 2, 8, 8), [2, 2, 4, 4, 9, 9]]},
        'no-ring': {'segmentation': []},
        'empty-mask': {'segmentation': encode(np.zeros((SIDE, SIDE)))},
        'wrong-area': {'area': 900},
        'wrong-bbox': {'bbox': [20, 2, 8, 8]},
    }
    for code, keys in faults.items():
        part = tree.damage(**keys)
        tree.plant(code, 'annotation', part)
        if code in ('bad-segmentation', 'no-ring', 'empty-mask'):
            tree.erase(part)
    for code, segmentation in (('outside-image', [box(-5, 20, 12, 9)]), ('near-empty-part', [box(2, 20, 3, 3)])):
        tree.plant(code, 'annotation', tree.add_part(tree.add_image(), HEAD, segmentation))
    part = tree.damage()
    tree.documents['train']['annotations'].append({**part, 'id': tree.next_id()})
    tree.plant('duplicate-annotation', 'annotation', tree.documents['train']['annotations'][-1])
    image = tree.add_image()
    tree.add_part(image, BODY, [box(6, 2, 4, 8)])
    tree.plant('overlapping-parts', 'image', image)


def plant_images(tree: Tree) -> None:
    image = tree.add_image()
    del tree.files[f'images/train/{image["file_name"]}']
    tree.plant('missing-image', 'image', image)
    image = tree.add_image()
    tree.files[f'images/val/{image["file_name"]}'] = tree.files.pop(f'images/train/{image["file_name"]}')
    tree.plant('misplaced-image', 'image', image)
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    contents = {
        'empty-image': b'',
        'truncated-image': as_jpeg(noise(1))[:-20],
        'unreadable-image': b'<html>not found</html>',
        'wrong-image-size': as_jpeg(noise(2, height=SIDE + 8)),
        'exif-orientation': as_jpeg(noise(3), exif=upside_down),
        'not-rgb': as_jpeg(noise(4)[..., 0]),
    }
    for code, content in contents.items():
        image = tree.add_image()
        tree.files[f'images/train/{image["file_name"]}'] = content
        tree.plant(code, 'image', image)
    tree.files[f'images/train/{DOG}_9003.JPEG'] = as_jpeg(noise(5))
    tree.files[f'images/train/._{DOG}_9003.JPEG'] = b'left by a file manager'
    tree.plant('extra-image', '', None)


def plant_maps(tree: Tree) -> None:
    maps = {
        'missing-map': None,
        'unreadable-map': np.zeros((SIDE, SIDE, 3), np.uint8),
        'wrong-map-size': np.full((SIDE, SIDE + 1), 40, np.uint8),
        'bad-map-value': np.full((SIDE, SIDE), 158, np.uint8),
    }
    for code, labels in maps.items():
        image = tree.add_image()
        del tree.maps[tree.map_of('train', image)]
        if labels is not None:
            tree.maps[tree.map_of('train', image)] = labels
        tree.plant(code, 'image', image)
    image = tree.add_image()
    labels = tree.maps[tree.map_of('train', image)]
    labels[labels == BODY] = FOOT
    tree.plant('map-disagrees', 'image', image)
    tree.maps[f'annotations/train/{DOG}_9004.png'] = np.full((SIDE, SIDE), 40, np.uint8)
    tree.plant('extra-map', '', None)


def plant_splits(tree: Tree) -> None:
    for code, split in (('duplicate-in-split', 'train'), ('duplicate-across-splits', 'val')):
        one, two = tree.add_image(), tree.add_image(split)
        tree.files[f'images/{split}/{two["file_name"]}'] = tree.files[f'images/train/{one["file_name"]}']
        tree.plant(code, 'image', two, split)
    tree.plant('same-image-name', 'image', tree.add_image('val', tree.add_image()['file_name']), 'val')
    tree.files['annotations/val.json'] = b'{}'
    tree.plant('two-jsons', '', None, 'val')


def broken_tree() -> Tree:
    tree = Tree()
    for plant in (plant_records, plant_masks, plant_images, plant_maps, plant_splits):
        plant(tree)
    return tree


# Faults of a whole tree that cannot be planted together with the others; they have separate tests.
ELSEWHERE = {'unreadable-json', 'missing-split', 'same-file-name', 'mixed-splits', 'swapped-split', 'shared-classes',
             'count-differs', 'nothing-left', 'bad-referring', 'project-name',
             'unverified-image', 'missing-measure'}


def found_in(examination: examination.Report) -> list[Plant]:
    return sorted(Plant(finding.code, finding.split, finding.record) for finding in examination.findings)


def hash_of(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob('*')) if path.is_file()}


@pytest.fixture(scope='module')
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Tree().write(tmp_path_factory.mktemp('healthy'))


@pytest.fixture(scope='module')
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Plant]]:
    tree = broken_tree()
    root = tree.write(tmp_path_factory.mktemp('broken'))
    path = root / 'annotations/test/test.json'
    path.write_text(path.read_text()[:-200])
    return root, sorted([*tree.planted, Plant('unreadable-json', 'test', '')])


@pytest.fixture(scope='module')
def examined(broken: tuple[Path, list[Plant]]) -> examination.Report:
    """Examine the broken tree once, with decoded images."""
    return examine(broken[0])


@pytest.fixture
def doctor(run_script: Callable[..., None], capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """Run the tool; returns its exit status, output and complaints."""
    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run_script('dataset_doctor', *args)
        streams = capsys.readouterr()
        return ended.value.code, streams.out, streams.err
    return run


# The two trees.


@pytest.mark.parametrize('options', [(), ('--fast', ), ('--strict', )])
def test_a_healthy_tree_has_no_finding(options: tuple, healthy: Path, doctor: Callable) -> None:
    status, out, err = doctor(healthy, *options)
    assert (status, err) == (0, '')
    assert out.endswith('healthy: 0 errors, 0 warnings, 0 notes\n')
    assert "PartImageNet's names, but neither" in out
    assert 'train: 6 label maps compared' in out


def test_exactly_the_planted_faults_are_found(broken: tuple, examined: examination.Report) -> None:
    root, planted = broken
    assert found_in(examined) == planted
    assert found_in(examine(root, decode=False)) == planted


def test_every_code_is_planted_or_tested_elsewhere(broken: tuple) -> None:
    codes = [plant.code for plant in broken[1]]
    assert len(codes) == len(set(codes))
    assert set(CODES) == set(codes) | ELSEWHERE


@pytest.mark.slow
def test_nothing_is_changed(broken: tuple, doctor: Callable, tmp_path: Path) -> None:
    root, _ = broken
    before = hash_of(root)
    status, _, _ = doctor(root, '--all', '--json', tmp_path / 'findings.json', '--picture', tmp_path / 'picture.png',
                          '--repair', tmp_path / 'repaired')
    assert status == 1
    assert hash_of(root) == before


def test_files_are_named_where_the_fault_is(examined: examination.Report) -> None:
    files = {finding.code: finding.file for finding in examined.findings}
    assert files['extra-image'] == f'images/train/{DOG}_9003.JPEG'
    assert files['extra-map'] == f'annotations/train/{DOG}_9004.png'
    assert files['unreadable-json'] == 'annotations/test/test.json'
    assert files['bad-segmentation'] == 'annotations/train/train.json'
    assert files['empty-image'].startswith(f'images/train/{DOG}_')


def test_messages_give_the_numbers(examined: examination.Report) -> None:
    messages = {finding.code: finding.message for finding in examined.findings}
    assert 'by 5.0 pixels' in messages['outside-image']
    assert 'the mask covers 64 pixels' in messages['wrong-area']
    assert 'share 100% of the smaller' in messages['overlapping-parts']
    assert messages['wrong-image-size'] == 'it is 40 x 32 (height x width); the json has 32 x 32'
    assert re.search(r'IoU of Quadruped Foot \d+\.\d\d(;|$)', messages['map-disagrees'])
    assert max(map(float, re.findall(r'IoU of .*? (\d+\.\d+)', messages['map-disagrees']))) > 1
    assert 'Quadruped Body only in the json' in messages['map-disagrees']
    assert 'it is images/val/' in messages['misplaced-image']


def test_scenes_of_toyparts_are_not_compared_with_their_names(tmp_path: Path) -> None:
    make_toyparts(tmp_path, splits={'train': 4, 'val': 2}, size=(64, 64), workers=1)
    report = examine(tmp_path)
    assert 'other-super-category' not in {finding.code for finding in report.findings}
    assert [line for line in report.remarks if 'ToyParts' in line] == [
        'train, val: ToyParts, whose scenes have objects of two classes; parts are not compared with the class in '
        "their image's name"]
    # Of any other json they are.
    path = tmp_path / 'annotations/train/train.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'info': {}}))
    assert sum(finding.code == 'other-super-category' for finding in examine(tmp_path).findings) == 4


# Output.


def test_groups_with_examples_or_all(doctor: Callable, tmp_path: Path) -> None:
    tree = Tree(1)
    for _ in range(5):
        tree.damage(area=900)
    root = tree.write(tmp_path / 'tree')
    status, out, _ = doctor(root)
    assert status == 0
    assert 'warning  wrong-area  5x' in out
    assert out.count("'area' is 900") == 3
    assert '... and 2 more' in out
    assert 'fix: compute it from the mask' in out
    assert doctor(root, '--all')[1].count("'area' is 900") == 5
    assert out.endswith('\nhealthy: 0 errors, 5 warnings, 0 notes\n')
    status, out, _ = doctor(root, '--strict')
    assert status == 1
    assert out.endswith('\nunhealthy: 0 errors, 5 warnings, 0 notes\n')


def test_the_commonest_categories_or_all(doctor: Callable, tmp_path: Path) -> None:
    root = general_tree(tmp_path)
    path = root / 'annotations/train.json'
    document = json.loads(path.read_text())
    document['categories'] = [{'id': i, 'name': f'Lamp Shade {i}'} for i in range(2, 52)] + document['categories']
    path.write_text(json.dumps(document))
    out = doctor(root)[1]
    assert re.search(r'^ *annotated parts .*\n.*\n *Lamp Shade +1 +1\n', out, re.MULTILINE)
    assert 'Lamp Shade 51' not in out
    assert '... and 11 rarer categories' in out
    out = doctor(root, '--all')[1]
    assert 'Lamp Shade 51' in out
    assert 'rarer' not in out


def test_json_has_everything(broken: tuple, doctor: Callable, tmp_path: Path) -> None:
    root, planted = broken
    assert doctor(root, '--json', tmp_path / 'out.json')[0] == 1

    def reject(constant: str) -> None:
        raise AssertionError(f'{constant} is not JSON')

    document = json.loads((tmp_path / 'out.json').read_text(), parse_constant=reject)
    assert document['healthy'] is False
    assert sorted(Plant(each['code'], each['split'], each['record']) for each in document['findings']) == planted
    assert all(each['fix'] and each['message'] and each['severity'] == CODES[each['code']].severity
               for each in document['findings'])
    assert document['splits']['val']['images'] == 8
    assert document['splits']['val']['categories']['Quadruped Foot'] == 8
    assert document['splits']['val']['parts_per_image'] == {'3': 8}
    # Masks of 64 (twice) and 168 pixels.
    assert document['splits']['val']['masks_by_least_area'] == {'64.0': 16, '152.2': 8}


@pytest.mark.parametrize('images', [0, 6])
def test_picture(images: int, doctor: Callable, tmp_path: Path) -> None:
    doctor(Tree(images).write(tmp_path / 'tree'), '--picture', tmp_path / 'picture.png')
    picture = cv2.imread(str(tmp_path / 'picture.png'))
    assert min(picture.shape[:2]) > 500
    assert picture.std() > 10


def test_progress_is_drawn_on_a_terminal_only(healthy: Path, capsys: pytest.CaptureFixture,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    examine(healthy)
    assert capsys.readouterr().err == ''
    monkeypatch.setattr(examination, 'BAR_FROM', 1)
    examine(healthy)
    assert len(capsys.readouterr().err.splitlines()) == 3
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    examine(healthy)
    assert '6/6' in capsys.readouterr().err


def test_the_documentation_lists_every_code() -> None:
    lines = (ROOT / 'docs/dataset_doctor.md').read_text(encoding='utf-8').splitlines()
    rows = {cells[1].strip('` '): cells for line in lines if len(cells := line.split('|')) == 6 and '`' in cells[1]}
    assert {name: (code.severity, code.repaired) for name, code in CODES.items()} == {
        name: (cells[2].strip(), cells[4].strip() == 'yes') for name, cells in rows.items()}


# What it costs.


def test_each_image_is_decoded_once_or_not_at_all(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: Counter[str] = Counter()
    decode_image = check_images.decode_image

    def count(content: bytes, path: str) -> np.ndarray:
        decoded[path] += 1
        return decode_image(content, path)

    monkeypatch.setattr(check_images, 'decode_image', count)
    assert 'pixels' in examine(healthy).remarks[0]
    assert (len(decoded), set(decoded.values())) == (18, {1})
    assert 'files' in examine(healthy, decode=False).remarks[0]
    assert decoded.total() == 18


def test_an_image_saved_again_is_the_same_by_pixels_only(tmp_path: Path) -> None:
    tree = Tree(1)
    (_, one), (name, _), *_ = tree.files.items()
    tree.files[name] = one[:2] + b'\xff\xfe\x00\x04hi' + one[2:]  # a JPEG comment
    root = tree.write(tmp_path)
    assert [plant.code for plant in found_in(examine(root))] == ['duplicate-across-splits']
    assert found_in(examine(root, decode=False)) == []


def png_of(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'PNG')
    return buffer.getvalue()


def turned(orientation: int, height: int, width: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return as_jpeg(noise(0, height, width), exif=exif)


@pytest.mark.parametrize('decode', [True, False])
@pytest.mark.parametrize(('content', 'expected'), [
    (png_of(noise(0)), []),
    (png_of(noise(0))[:-5], ['truncated-image']),
    (png_of(noise(0)[..., :1].repeat(4, 2)), ['not-rgb']),
    (turned(1, SIDE, SIDE), []),
    # Turned by a quarter: the json's size is that of the upright image.
    (turned(6, SIDE, SIDE), ['exif-orientation']),
    (turned(6, SIDE + 8, SIDE), ['exif-orientation', 'wrong-image-size']),
])
def test_image_files(content: bytes, expected: list[str], decode: bool, tmp_path: Path) -> None:
    tree = Tree(1)
    tree.files[next(iter(tree.files))] = content
    found = examine(tree.write(tmp_path), decode=decode).findings
    assert sorted(finding.code for finding in found) == expected
    assert all('it is 32 x 40' in finding.message for finding in found if finding.code == 'wrong-image-size')


# Roots and layouts.


def test_links_and_pipes_among_the_images(tmp_path: Path) -> None:
    tree = Tree(2)
    first, second, *_ = (name for name in tree.files if '/train/' in name)
    root = tree.write(tmp_path / 'tree')
    for link in ('round', 'about'):
        (root / 'images/train' / link).symlink_to(root / 'images')
    (root / first).rename(tmp_path / 'image')
    (root / first).symlink_to(tmp_path / 'image')
    (root / second).unlink()
    os.mkfifo(root / second)
    found = list(examine(root).findings)
    assert [(finding.code, finding.file, finding.message) for finding in found] == [
        ('unreadable-image', second, 'it is not a plain file')]


def test_names_that_no_encoding_knows(doctor: Callable, tmp_path: Path) -> None:
    tree = Tree(1)
    tree.documents['train']['categories'].insert(0, {'id': 99, 'name': 'Teapot \ud800', 'supercategory': '$\\frac'})
    tree.documents['train']['images'][0]['file_name'] = '\ud800.JPEG'
    status, out, _ = doctor(tree.write(tmp_path / 'tree'), '--picture', tmp_path / 'picture.png', '--json',
                            tmp_path / 'out.json')
    assert status == 1
    assert 'Teapot \\ud800' in out
    assert 'lone surrogate' in (tmp_path / 'out.json').read_text()


@pytest.mark.parametrize(('make', 'message'), [
    (lambda root: None, 'does not exist'),
    (lambda root: root.write_text('hello'), 'is a file'),
    (lambda root: root.mkdir(), 'no train.json, val.json or test.json'),
    (lambda root: (root / 'images/train').mkdir(parents=True), 'no train.json, val.json or test.json'),
])
def test_odd_roots_could_not_be_examined(make: Callable, message: str, doctor: Callable, tmp_path: Path) -> None:
    make(tmp_path / 'root')
    status, out, err = doctor(tmp_path / 'root')
    assert (status, out) == (2, '')
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize('option', ['--json', '--picture'])
@pytest.mark.parametrize(('where', 'message'), [('annotations/train/train.json', 'is being examined'),
                                             ('images/out.png', 'is being examined'), ('.', 'is a folder')])
def test_outputs_never_replace_what_is_examined(option: str, where: str, message: str, healthy: Path,
                                                doctor: Callable) -> None:
    before = hash_of(healthy)
    status, out, err = doctor(healthy, option, healthy / where)
    assert (status, out) == (2, '')
    assert message in err
    assert hash_of(healthy) == before


@pytest.mark.parametrize('options', [('--json', 'file/out.json'), ('--picture', 'file/out.png')])
def test_outputs_that_cannot_be_written_are_reported_first(options: tuple, healthy: Path, doctor: Callable,
                                                       tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    status, out, err = doctor(healthy, options[0], tmp_path / options[1])
    assert (status, out) == (2, '')
    assert 'file/out' in err
    assert doctor(healthy, options[0], tmp_path / 'new' / options[1])[0] == 0
    assert (tmp_path / 'new' / options[1]).is_file()


@pytest.mark.parametrize('content', [b'', b'[]', b'{"images": []}', b'\xff\xfe', b'[' * 100_000])
def test_a_file_that_is_not_a_json(content: bytes, tmp_path: Path) -> None:
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/train.json').write_bytes(content)
    found = found_in(examine(tmp_path))
    assert found == [Plant('missing-split', 'test', ''), Plant('missing-split', 'val', ''),
                     Plant('unreadable-json', 'train', '')]


@pytest.mark.parametrize(('section', 'record'), [
    ('images', 'a record'), ('images', {'id': 1.5}), ('annotations', None), ('annotations', {'id': 3, 'image_id': 101}),
    ('categories', {'id': 99, 'name': ' '}), ('categories', {'id': 99, 'name': 'Car Sail', 'supercategory': 7}),
    ('images', {'id': 9, 'file_name': 'a.JPEG', 'height': True, 'width': 3}),
    ('images', {'id': 9, 'file_name': 'a.JPEG', 'height': 10 ** 12, 'width': 3}),
])
def test_damaged_records_are_passed_over(section: str, record: object, tmp_path: Path) -> None:
    tree = Tree(1)
    tree.documents['train'][section].append(record)
    found = found_in(examine(tree.write(tmp_path)))
    assert {plant.code for plant in found} == {'bad-record'}


def test_annotations_of_a_damaged_image_are_not_dangling(tmp_path: Path) -> None:
    tree = Tree(2)
    del tree.documents['train']['images'][0]['height']
    found = found_in(examine(tree.write(tmp_path)))
    assert [plant.code for plant in found] == ['bad-record']


def test_an_imagenet_name_counts_without_its_folder(tmp_path: Path) -> None:
    tree = Tree(1)
    tree.add_image('val', f'{DOG}/{tree.documents["train"]["images"][0]["file_name"]}')
    assert [plant.code for plant in found_in(examine(tree.write(tmp_path)))] == ['same-image-name']


def test_maps_are_not_held_against_unknown_categories(tmp_path: Path) -> None:
    tree = Tree(1)
    tree.documents['train']['categories'].append({'id': 60, 'name': 'Quadruped Ear'})
    tree.documents['train']['annotations'][0]['category_id'] = 60
    assert [plant.code for plant in found_in(examine(tree.write(tmp_path)))] == ['unknown-category']


@pytest.mark.parametrize(('bbox', 'code'), [
    (None, 'missing-measure'), ([], 'missing-measure'), ([2, 2, 8, 10.5], 'wrong-bbox'),
    *((each, 'bad-record') for each in (7, 'abcd', [2, 2, 8], [float('nan')] * 4, [10 ** 400] * 4, [2, 2, 8, [8, 8]],
                                        {'x': 1, 'y': 1, 'w': 1, 'h': 1}))])
def test_wrong_boxes(bbox: object, code: str, tmp_path: Path) -> None:
    tree = Tree(1)
    part = tree.damage(bbox=bbox)
    found = found_in(examine(tree.write(tmp_path)))
    assert [plant for plant in found if plant.code != 'map-disagrees'] == [
        Plant(code, 'train', f'annotation {part["id"]}')]


def test_an_area_of_zero_drops_no_part(tmp_path: Path) -> None:
    tree = Tree(1)
    tree.add_part(tree.add_image(), HEAD, [box(2, 20, 2, 2)], area=0)
    found = list(examine(tree.write(tmp_path), limits=Limits(min_pixels=1)).findings)
    assert [finding.code for finding in found] == ['wrong-area']
    assert found[0].message == "its 'area' is 0; the mask covers 4 pixels"


def general_tree(root: Path) -> Path:
    """Two splits of a COCO json that has nothing of PartImageNet, in the flat layout."""
    for split in ('train', 'val'):
        (root / 'images' / split).mkdir(parents=True)
        (root / 'annotations').mkdir(exist_ok=True)
        (root / f'images/{split}/0001.jpg').write_bytes(as_jpeg(noise(len(split))))
        (root / f'annotations/{split}.json').write_text(json.dumps({
            'images': [{'id': 1, 'file_name': '0001.jpg', 'height': SIDE, 'width': SIDE}],
            'categories': [{'id': 1, 'name': 'Lamp Shade', 'supercategory': 'Lamp'}],
            'annotations': [{'id': 1, 'image_id': 1, 'category_id': 1, 'segmentation': [box(2, 2, 8, 8)], 'area': 64,
                             'bbox': [2, 2, 8, 8]}]}))
    return root


def test_parts_or_images_alone_are_not_partimagenet(tmp_path: Path) -> None:
    for kind, (name, owner, file_name) in {'parts': ('Car Body', 'Car', '0001.jpg'),
                                           'images': ('Lamp Shade', 'Lamp', f'{DOG}_1.JPEG')}.items():
        root = general_tree(tmp_path / kind)
        for split in ('train', 'val'):
            path = root / f'annotations/{split}.json'
            document = json.loads(path.read_text())
            document['categories'][0] |= {'name': name, 'supercategory': owner}
            document['images'][0]['file_name'] = file_name
            path.write_text(json.dumps(document))
        assert examine(root).verdict == 'not PartImageNet; counts not compared'


def test_one_file_named_by_two_splits(tmp_path: Path) -> None:
    root = general_tree(tmp_path)
    (root / 'images/train/0001.jpg').rename(root / 'images/0001.jpg')
    shutil.rmtree(root / 'images/train')
    shutil.rmtree(root / 'images/val')
    assert 'duplicate-across-splits' in {finding.code for finding in examine(root).findings}


def test_the_same_bytes_in_another_shape_are_another_image(tmp_path: Path) -> None:
    root = general_tree(tmp_path)
    for split, shape in (('train', (SIDE, SIDE, 3)), ('val', (SIDE // 2, 2 * SIDE, 3))):
        (root / f'images/{split}/0001.jpg').write_bytes(png_of(np.zeros(shape, np.uint8)))
    codes = {finding.code for finding in examine(root).findings}
    assert 'wrong-image-size' in codes
    assert 'duplicate-across-splits' not in codes


def test_any_coco_json_in_the_flat_layout(doctor: Callable, tmp_path: Path) -> None:
    root = general_tree(tmp_path)
    status, out, _ = doctor(root)
    assert status == 0
    assert out.startswith('not PartImageNet; counts not compared\n')
    assert found_in(examine(root)) == [Plant('missing-split', 'test', ''), Plant('same-file-name', 'val', 'image 1')]


@pytest.mark.parametrize('layout', ['{wnid}/{name}', '{name}'])
def test_layout_of_most_images_is_the_right_one(layout: str, tmp_path: Path) -> None:
    tree = Tree(3)
    tree.files = {'/'.join([*name.split('/')[:2], layout.format(wnid=DOG, name=name.split('/')[2])]): content
                  for name, content in tree.files.items()}
    stray = next(name for name in tree.files if '/val/' in name)
    tree.files[f'images/val/elsewhere/{stray.split("/")[-1]}'] = tree.files.pop(stray)
    assert [plant[:2] for plant in found_in(examine(tree.write(tmp_path)))] == [('misplaced-image', 'val')]


def test_images_of_all_splits_in_one_folder(tmp_path: Path) -> None:
    tree = Tree(2)
    tree.files = {f'images/{name.split("/")[-1]}': content for name, content in tree.files.items()}
    tree.files['images/stray.JPEG'] = as_jpeg(noise(0))
    assert [plant.code for plant in found_in(examine(tree.write(tmp_path)))] == ['extra-image']


# Bounds.


def test_bounds_can_be_moved(doctor: Callable, tmp_path: Path) -> None:
    tree = Tree(1)
    image = tree.add_image()
    tree.add_part(image, HEAD, [box(2, 20, 5, 5)])
    tree.add_part(image, BODY, [box(9, 2, 3, 8)])  # a third of it is in the head
    labels = tree.maps[tree.map_of('train', image)]
    labels[20:24, 24:28] = FOOT
    root = tree.write(tmp_path)
    assert [plant.code for plant in found_in(examine(root))] == ['overlapping-parts']
    assert found_in(examine(root, limits=Limits(max_overlap=0.4))) == []
    assert 'near-empty-part' in doctor(root, '--min-pixels', '26')[1]
    assert 'overlapping-parts' not in doctor(root, '--max-overlap', '0.4')[1]
    assert 'map-disagrees' in doctor(root, '--max-map-difference', '0.02')[1]


def test_maps_may_draw_outlines_otherwise(tmp_path: Path) -> None:
    tree = Tree(1)
    for labels in tree.maps.values():
        head = cv2.dilate((labels == HEAD).astype(np.uint8), np.ones((3, 3), np.uint8))
        labels[head > 0] = HEAD
    assert found_in(examine(tree.write(tmp_path))) == []


@pytest.mark.parametrize('parts', [1, 7, 8, 9, 40])
def test_maps_of_many_overlapping_categories(parts: int) -> None:
    labels = np.full((SIDE, 2 * SIDE), 40, np.uint8)
    rles = {}
    for label in range(parts):
        y, x = 6 * (label // 8), 7 * (label % 8)
        mask = np.zeros(labels.shape, np.uint8, order='F')
        mask[y:y + 6, x:x + 9] = 1  # two pixels of it reach into its neighbour, which the map shows there
        rles[label] = [coco_mask.encode(mask)]
        labels[mask > 0] = label
    assert describe_map_difference(labels, rles, Limits()) == ''
    last = parts - 1
    labels[labels == last] = 40
    assert f'{CATEGORY_NAMES[last]} only in the json' in describe_map_difference(labels, rles, Limits())
    del rles[last]
    labels[labels == 40] = last
    assert f'{CATEGORY_NAMES[last]} only in the map' in describe_map_difference(labels, rles, Limits())


def test_a_map_names_the_part_of_an_empty_annotation(tmp_path: Path) -> None:
    tree = Tree(1)
    tree.damage(segmentation=[])
    found = examine(tree.write(tmp_path)).findings
    assert {finding.code for finding in found} == {'no-ring', 'map-disagrees'}
    assert any('Quadruped Head only in the map' in finding.message for finding in found)


@pytest.mark.parametrize(('ring', 'code'), [
    ([], 'short-ring'), ([1, 2, 3, 4, 5], 'short-ring'), ([1, 2, 3, 4, 5, 6, 7], 'bad-segmentation'),
    ([1, 2, 3, 4, None, 6], 'bad-segmentation'), ([1, 2, 3, 4, 'x', 6], 'bad-segmentation'),
    ([1, 2, 3, 4, float('inf'), 6], 'bad-segmentation'), ([10 ** 30] * 6, 'bad-segmentation'),
    ([1, 2, 3, True, 5, 6], 'bad-segmentation'), ([-2**63, 2, 3, 4, 5, 6], 'bad-segmentation'),
    ([[1, 2], [3, 4], [5, 9], [1, 9], [2, 8], [3, 7]], 'bad-segmentation'), (7, 'bad-segmentation'),
    ([1, 1, 9, 9, 5, 5], 'zero-area-ring'), ([3] * 6, 'zero-area-ring'),
    (box(0, 0, SIDE + 0.9, 5), None), (box(0, 0, SIDE + 1.1, 5), 'outside-image'),
    (box(1, 1, 1, 3200), 'bad-segmentation'),
])
def test_rings(ring: Any, code: str | None) -> None:
    fault = ring_fault(ring, SIDE, SIDE)
    assert (fault and fault[0]) == code


@pytest.mark.parametrize('segmentation', [
    'head', [box(2, 2, 8, 8)[:-1]], [[float('nan'), *box(2, 2, 8, 8)[1:]]], [box(2, 2, 8000, 8)],
    [[True, 2, 10, 2, 10, 10]], [[-2**63, 2, 10, 2, 10, 10]],
    encode(np.ones((SIDE, SIDE + 1))), {'size': [SIDE, SIDE], 'counts': 'zzz'}, {'counts': [SIDE * SIDE]}])
def test_segmentations_that_cannot_be_read_are_reported_and_dropped(segmentation: Any, tmp_path: Path) -> None:
    tree = Tree(1)
    part = tree.damage(segmentation=segmentation)
    root = tree.write(tmp_path / 'tree')
    assert found_in(examine(root)) == [Plant('bad-segmentation', 'train', f'annotation {part["id"]}')]
    repair(root, tmp_path / 'out')
    repaired = json.loads((tmp_path / 'out/train.json').read_text())
    assert len(repaired['annotations']) == len(tree.documents['train']['annotations']) - 1
    assert json.loads((tmp_path / 'out/train.repairs.jsonl').read_text())['old']['id'] == part['id']


# Which PartImageNet.


def counts_of(**splits: tuple[range, int, int]) -> dict[str, PartCounts]:
    """Counts by split: which of the 158 classes, images, annotations."""
    wnids = list(load_synsets())
    counts = {}
    for split, (classes, images, annotations) in splits.items():
        counts[split] = PartCounts(images, annotations)
        counts[split].classes.update(wnids[number] for number in classes)
    return counts


ALL, FIRST, MIDDLE, LAST = range(158), range(109), range(109, 128), range(128, 158)
SEG = {'train': (ALL, 20481, 95059), 'val': (ALL, 1206, 5626), 'test': (ALL, 2408, 11275)}
OOD = {'train': (FIRST, 16540, 1), 'val': (MIDDLE, 2957, 1), 'test': (LAST, 4598, 1)}


@pytest.mark.parametrize(('splits', 'kind', 'message', 'expected'), [
    (SEG, 'Seg', 'PartImageNet, Seg split', []),
    (OOD, 'OOD', 'PartImageNet, OOD split', []),
    ({**SEG, 'train': (ALL, 20480, 95059)}, 'Seg', 'PartImageNet, Seg split', ['count-differs']),
    ({**SEG, 'val': (ALL, 1206, 5600)}, 'Seg', 'PartImageNet, Seg split', []),
    ({**SEG, 'val': (ALL, 1206, 5000)}, 'Seg', 'PartImageNet, Seg split', ['count-differs']),
    ({**SEG, 'test': (ALL, 2408, 11274)}, 'Seg', 'PartImageNet, Seg split', ['count-differs']),
    ({**SEG, 'val': OOD['val']}, '', 'a mixture', ['mixed-splits']),
    ({**SEG, 'val': (range(40), 50, 100)}, 'Seg', 'PartImageNet, Seg split', ['mixed-splits'] + 3 * ['count-differs']),
    ({**SEG, 'val': SEG['test'], 'test': SEG['val']}, 'Seg', 'PartImageNet, Seg',
     ['swapped-split'] * 2 + ['count-differs'] * 4),
    ({**OOD, 'test': (range(90, 120), 4598, 1)}, 'OOD', 'PartImageNet, OOD split', ['shared-classes'] * 2),
    ({'train': (range(3), 6, 18)}, '', "PartImageNet's names, but neither", []),
    # 19 classes of a small custom dataset are not an OOD split.
    ({'train': (range(40), 60, 18), 'val': (range(19), 20, 9), 'test': (range(18), 20, 9)}, '', 'but neither', []),
])
def test_split_is_detected_from_classes_and_images(splits: dict, kind: str, message: str, expected: list) -> None:
    findings = Findings('root')
    counts = counts_of(**splits)
    found, verdict = identify(counts, True, findings)
    compare_counts(found, counts, findings)
    assert found == kind
    assert message in verdict
    assert [finding.code for finding in findings] == expected


def test_counts_are_compared_with_the_published_ones(doctor: Callable, tmp_path: Path) -> None:
    tree = Tree(0)
    for wnid in load_synsets():
        tree.documents['val']['images'].append({'id': tree.next_id(), 'file_name': f'{wnid}_1.JPEG', 'height': SIDE,
                                                'width': SIDE})
    del tree.documents['train'], tree.documents['test']
    status, out, _ = doctor(tree.write(tmp_path))
    assert status == 1
    assert out.startswith('PartImageNet, Seg split (val is Seg: 158 classes, 158 images')
    assert '158 / 1,206' in out
    assert '158 images, published are 1,206 (-1,048)' in out
    assert 'error  missing-image  158x' in out


# Repair.


def test_repaired_codes_are_gone_and_the_others_stay(broken: tuple, doctor: Callable, tmp_path: Path) -> None:
    root, planted = broken
    out = tmp_path / 'repaired'
    status, message, _ = doctor(root, '--repair', out)
    assert status == 1
    assert 'repaired  test: nothing was written, since 1 errors have to be fixed by hand first: ' in message
    repaired = {name for name, code in CODES.items() if code.repaired} - ELSEWHERE
    after = found_in(examine(root, annotations=out))
    # The unreadable json is not repaired, and there is one json per repaired split.
    expected = {plant for plant in planted if plant.code not in repaired | {'unreadable-json', 'two-jsons'}}
    assert set(after) == expected | {Plant('missing-split', 'test', '')}
    changes = [json.loads(line) for line in (out / 'train.repairs.jsonl').read_text().splitlines()]
    assert repaired == {change['code'] for change in changes}
    assert (out / 'val.repairs.jsonl').read_text() == ''


def test_log_has_old_and_new_values(broken: tuple, tmp_path: Path) -> None:
    repair(broken[0], tmp_path / 'out')
    lines = (tmp_path / 'out/train.repairs.jsonl').read_text().splitlines()
    changes = {change['code']: change for change in map(json.loads, lines)}
    assert [changes['wrong-area'][key] for key in ('key', 'old', 'new')] == ['area', 900, 64]
    assert changes['wrong-bbox']['new'] == [2, 2, 8, 8]
    assert changes['alias-name'] == {'code': 'alias-name', 'section': 'categories', 'id': BICYCLE_TIRE, 'key': 'name',
                                     'old': 'Bicycle Tier', 'new': 'Bicycle Tire'}
    assert changes['dangling-image-id']['old']['image_id'] == 9001
    assert changes['dangling-image-id']['key'] is changes['dangling-image-id']['new'] is None
    assert changes['short-ring']['old'] == [box(2, 2, 8, 8), [2, 2, 9, 9]]
    assert changes['short-ring']['new'] == [box(2, 2, 8, 8)]
    assert min(changes['outside-image']['new'][0]) == 0


def test_a_dataset_reads_a_repaired_json_that_it_rejected(tmp_path: Path) -> None:
    tree = Tree(1)
    image = tree.add_image()
    tree.documents['train']['images'].append(dict(image))
    tree.documents['train']['annotations'].append({**tree.damage(), 'image_id': 5})
    root = tree.write(tmp_path / 'tree')
    prefix = {'img': str(root / 'images/train')}
    with pytest.raises(ValueError, match='this id occurs twice in images'):
        len(PartImageNetReferringDataset(ann_file=str(root / 'annotations/train/train.json'), data_prefix=prefix))
    repair(root, tmp_path / 'out')
    assert len(PartImageNetReferringDataset(ann_file=str(tmp_path / 'out/train.json'), data_prefix=prefix)) == 3


def test_nothing_is_overwritten(healthy: Path, doctor: Callable, tmp_path: Path) -> None:
    assert doctor(healthy, '--repair', tmp_path / 'out')[0] == 0
    before = hash_of(tmp_path)
    status, out, err = doctor(healthy, '--repair', tmp_path / 'out')
    assert (status, out) == (2, '')
    assert 'train.json exists and is not overwritten' in err
    assert hash_of(tmp_path) == before
    with pytest.raises(FileExistsError):
        repair(healthy, tmp_path / 'out')
    assert hash_of(tmp_path) == before
    # Nothing needed a repair, so the json has the same content.
    source = healthy / 'annotations/train/train.json'
    assert json.loads((tmp_path / 'out/train.json').read_text()) == json.loads(source.read_text())


@pytest.mark.parametrize('inside', ['.', 'annotations', 'annotations/repaired', 'images/new'])
def test_the_tree_that_is_examined_is_not_written_to(inside: str, healthy: Path, doctor: Callable) -> None:
    before = hash_of(healthy)
    status, _, err = doctor(healthy, '--repair', healthy / inside)
    assert status == 2
    assert 'name another folder' in err
    assert hash_of(healthy) == before


def fix(tree: Tree) -> tuple[dict, list]:
    document = copy.deepcopy(tree.documents['train'])
    return document, RecordFixer(document).fix()


def test_annotations_that_share_an_id_get_new_ids(tmp_path: Path) -> None:
    tree = Tree(1)
    for part in tree.documents['train']['annotations']:
        part['id'] = 7
    document, repairs = fix(tree)
    assert [part['id'] for part in document['annotations']] == [7, 8, 9]
    assert [(change.old, change.new) for change in repairs] == [(7, 8), (7, 9)]


def test_an_annotation_of_nothing_but_short_rings_is_dropped() -> None:
    tree = Tree(1)
    part = tree.damage(segmentation=[[1, 1, 5, 5], []])
    document, repairs = fix(tree)
    assert part['id'] not in {each['id'] for each in document['annotations']}
    assert [(change.code, change.id, change.new) for change in repairs] == [('short-ring', part['id'], None)]


def test_ambiguous_repairs_are_reported_and_not_written(tmp_path: Path) -> None:
    tree = Tree(1)
    train = tree.documents['train']
    # Two images with one id, and two names of one category, all with annotations.
    train['images'].append({**train['images'][0], 'file_name': f'{DOG}_5.JPEG'})
    train['categories'].append({'id': 90, 'name': 'Quadruped head'})
    tree.add_part(tree.add_image(), 90, [box(2, 18, 8, 8)])
    tree.damage(iscrowd=1, area=0)
    document, repairs = fix(tree)
    assert repairs == []
    assert document == train
    split, *_ = repair(tree.write(tmp_path / 'tree'), tmp_path / 'out')
    assert len(split.errors) == 2
    assert not (tmp_path / 'out/train.json').exists()
    assert "both mean 'quadruped head'" in format_repairs([split])


@pytest.mark.parametrize(('section', 'key', 'value', 'repaired'), [
    ('images', 'height', str(SIDE), SIDE), ('images', 'width', float(SIDE), SIDE),
    ('images', 'neg_category_ids', ['5', 3, 'x'], [5, 3]), ('images', 'neg_category_ids', 0, None),
    ('categories', 'supercategory', 7, None), ('categories', 'part', ' ', None),
    ('categories', 'level', ['part'], None),
    ('annotations', 'iscrowd', 1.0, 1), ('annotations', 'iscrowd', '0', 0), ('annotations', 'iscrowd', 2, None),
    ('annotations', 'area', '64', 64), ('annotations', 'area', float('nan'), 64), ('annotations', 'area', -64, 64),
    ('annotations', 'bbox', 'large', [2, 2, 8, 8]), ('annotations', 'bbox', [float('nan')] * 4, [2, 2, 8, 8]),
    ('annotations', 'category_id', '0', 0), ('annotations', 'image_id', 101.0, 101),
    ('annotations', 'object_id', '\ud800', None), ('annotations', 'id', None, 105),
    ('annotations', 'object_id', 1.5, None),
])
def test_values_of_the_wrong_type_are_found_and_repaired(section: str, key: str, value: Any, repaired: Any) -> None:
    tree = Tree(1)
    train = tree.documents['train']
    train[section][0][key] = value
    assert [finding.code for finding in validate(train) if finding.severity == ERROR] == ['bad-record']
    document, repairs = fix(tree)
    assert document[section][0].get(key) == repaired
    assert not [finding for finding in validate(document) if finding.severity == ERROR]
    assert {change.key for change in repairs} == {key}
    assert [len(document[each]) for each in document] == [len(train[each]) for each in document]


@pytest.mark.parametrize('kind', [int, str])
def test_ids_of_another_type_lose_no_annotation(kind: type) -> None:
    tree = Tree(2)
    train = tree.documents['train']
    for image in train['images']:
        image['id'] = kind(image['id'])
    for part in train['annotations']:
        part['image_id'] = (int if kind is str else str)(part['image_id'])
    findings = [finding for finding in validate(train) if finding.severity == ERROR]
    assert {finding.code for finding in findings[:-1]} == {'dangling-image-id'}
    assert 'so write ids of the same type, or add' in findings[0].message
    document, repairs = fix(tree)
    assert len(document['annotations']) == 6
    assert {change.code for change in repairs} == {'bad-record'}
    assert not [finding for finding in validate(document) if finding.severity == ERROR]


def test_referring_is_repaired_along(tmp_path: Path) -> None:
    tree = Tree(1)
    train = tree.documents['train']
    first, second, third = (part['id'] for part in train['annotations'])
    image_id = train['images'][0]['id']
    train['annotations'][2]['segmentation'] = 'lost'
    train['referring'] = [
        {'id': 1, 'image_id': image_id, 'ann_ids': [first, third], 'expressions': ['both']},
        {'id': 2, 'image_id': image_id, 'ann_ids': [third], 'expressions': ['the lost one']},
        {'id': 3, 'image_id': str(image_id), 'ann_ids': [second], 'expressions': ['body']},
        {'id': 4, 'image_id': image_id, 'ann_ids': [], 'expressions': [' ']}, 5]
    document, repairs = fix(tree)
    assert [(each['id'], each['image_id'], each['ann_ids']) for each in document['referring']] == [
        (1, image_id, [first]), (3, image_id, [second])]
    assert Counter(change.section for change in repairs) == {'annotations': 1, 'referring': 5}


def referring_tree() -> tuple[dict, int, list[int]]:
    """A document with a list ``referring``, its image's id and the ids of its three annotations."""
    train = Tree(1).documents['train']
    ids = [part['id'] for part in train['annotations']]
    image_id = train['images'][0]['id']
    train['referring'] = [{'id': number, 'image_id': image_id, 'ann_ids': [ann_id], 'expressions': ['it']}
                          for number, ann_id in enumerate(ids)]
    return train, image_id, ids


def test_refs_follow_the_ids_of_their_annotations() -> None:
    train, _, ids = referring_tree()
    train['annotations'][0]['id'] = str(ids[0])
    train['referring'][0]['ann_ids'] = [str(ids[0])]
    train['annotations'].append({**train['annotations'][1], 'id': 500})
    train['referring'][1]['ann_ids'] = [500]
    RecordFixer(train).fix()
    assert [ref['ann_ids'] for ref in train['referring']] == [[each] for each in ids]
    assert not [finding for finding in validate(train) if finding.severity == ERROR]


def test_refs_lose_only_what_cannot_be_used() -> None:
    train, _, _ = referring_tree()
    train['referring'][0].update(expressions=['it', ' ', 5, '\ud800'], source=3)
    train['referring'][1]['id'] = 0
    RecordFixer(train).fix()
    assert [(ref['id'], ref['expressions'], ref.get('source')) for ref in train['referring']] == [
        (0, ['it'], None), ('0-2', ['it'], None), (2, ['it'], None)]


def test_equal_masks_of_two_objects_stay() -> None:
    train, _, _ = referring_tree()
    train['annotations'] += [{**train['annotations'][0], 'id': 500, 'object_id': 2}]
    train['annotations'][0]['object_id'] = 1
    assert RecordFixer(train).fix() == []


def test_united_images_keep_their_objects_apart() -> None:
    train, image_id, _ = referring_tree()
    train['images'][0]['neg_category_ids'] = [CAR_BODY]
    train['images'].append({**train['images'][0], 'id': 7, 'neg_category_ids': [SNAKE_BODY]})
    for part in train['annotations']:
        part['object_id'] = 1
    train['annotations'].append({**train['annotations'][0], 'id': 500, 'image_id': 7,
                                 'segmentation': [box(20, 20, 8, 8)]})
    RecordFixer(train).fix()
    assert [image['neg_category_ids'] for image in train['images']] == [[CAR_BODY, SNAKE_BODY]]
    assert [(part['image_id'], part['object_id']) for part in train['annotations']] == [
        *[(image_id, 1)] * 3, (image_id, '7:1')]


POINTS = [[2, 2], [10, 2], [10, 10], [2, 10]]


@pytest.mark.parametrize('segmentation', [POINTS, [POINTS], box(2, 2, 8, 8)])
def test_lists_of_points_and_flat_rings_become_rings(segmentation: list) -> None:
    train = Tree(1).documents['train']
    train['annotations'][0]['segmentation'] = segmentation
    RecordFixer(train).fix()
    assert train['annotations'][0]['segmentation'] == [box(2, 2, 8, 8)]


def test_points_on_one_line_that_cover_a_pixel_stay() -> None:
    train = Tree(1).documents['train']
    ring = [12.28, 31.91, 31.39, 21.94, 24.710276769477968, 25.424921015609872]
    train['annotations'][0].update(segmentation=[ring], area=1, bbox=[26, 24, 1, 1])
    parts = CocoParts()
    assert {finding.code for finding in validate(train, parts=parts)} == set()
    assert parts.statistics.parts_used == 3
    assert RecordFixer(train).fix() == []


def test_masks_of_images_of_another_size_are_not_clipped(tmp_path: Path) -> None:
    tree = Tree(2)
    image, other = tree.documents['train']['images']
    image['height'] = other['width'] = SIDE // 2
    tree.files[f'images/train/{other["file_name"]}'] = as_jpeg(noise(1, SIDE, SIDE // 2))
    for part in tree.documents['train']['annotations']:
        part['segmentation'] = [box(2, 2, 20, 20)]
    split, *_ = repair(tree.write(tmp_path / 'tree'), tmp_path / 'out')
    assert split.changes['outside-image'] == 3
    repaired = json.loads((tmp_path / 'out/train.json').read_text())['annotations']
    assert [part['segmentation'] for part in repaired if part['image_id'] == image['id']] == [[box(2, 2, 20, 20)]] * 3


def test_dropped_records_are_named_as_such(tmp_path: Path) -> None:
    tree = Tree(1)
    tree.damage(segmentation='lost')
    tree.damage(area=900)
    root = tree.write(tmp_path / 'tree')
    assert '1 wrong-area; records dropped: 1 bad-segmentation; ' in format_repairs(repair(root, tmp_path / 'out'))


def test_a_faulty_twin_does_not_hide_its_annotation(tmp_path: Path) -> None:
    tree = Tree(1)
    part = tree.documents['train']['annotations'][0]
    tree.documents['train']['annotations'].insert(0, {key: part[key] for key in ('id', 'image_id', 'category_id')})
    assert {plant.code for plant in found_in(examine(tree.write(tmp_path)))} == {'bad-record'}


def test_names_too_long_for_a_file_system(tmp_path: Path) -> None:
    tree = Tree(1)
    tree.documents['train']['images'][0]['file_name'] = f'{DOG}_{"a" * 300}.JPEG'
    codes = [plant.code for plant in found_in(examine(tree.write(tmp_path)))]
    assert 'missing-image' in codes


coordinates = st.floats(-20, SIDE + 20, width=16)


@settings(max_examples=60, deadline=None)
@given(st.lists(coordinates, min_size=6, max_size=14).filter(lambda ring: len(ring) % 2 == 0))
def test_clipping_preserves_the_pixels_inside(ring: list[float]) -> None:
    height, width = SIDE, SIDE - 12
    clipped = clip_ring(ring, height, width)
    assert all(0 <= x <= width for x in clipped[0::2])
    assert all(0 <= y <= height for y in clipped[1::2])
    # An outline is rounded to a fifth of a pixel, so a new corner at the border may move the pixels along its edges.
    before = coco_mask.decode(coco_mask.frPyObjects([ring], height, width))[..., 0]
    after = np.zeros_like(before)
    if len(clipped) >= 6:
        after = coco_mask.decode(coco_mask.frPyObjects([clipped], height, width))[..., 0]
    differing = cv2.morphologyEx(before ^ after, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    assert not differing.any()
