"""Published files with something wrong in them: converted to what the dataset loads, or rejected by a sentence."""
import copy
import io
import json
import os
import pickle
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_input import JUNK, Tally, mutate, mutations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from mmpartref.datasets import PartReferDataset, converters
from mmpartref.datasets.converters.published.join_levels import join_levels
from mmpartref.datasets.converters.standard_json import Document, write_documents

AT_LEAST = 500
# Times as many examples, to look for bugs.
MORE = int(os.environ.get('FUZZ', '1'))
BOUNDED = settings(max_examples=60 * MORE, deadline=None, derandomize=True, database=None,
                   suppress_health_check=list(HealthCheck))
SIZE = (6, 8)
RING, RLE = [[1, 1, 4, 1, 4, 4, 1, 4]], {'size': [6, 8], 'counts': [3, 5, 40]}
Converted = tuple[dict[str, Document], list[str]]


def coco(file_name: str, categories: list[dict], **more: Any) -> dict[str, Any]:
    """Return two images, an annotation of each category in the first, and a crowd."""
    shapes = [RING, RLE, {'size': [6, 8], 'counts': '35X1'}, [[0, 0, 2, 0, 2.5, 3]]]
    records = [{'id': 10 + index, 'image_id': 1, 'category_id': category['id'],
                'segmentation': shapes[index % len(shapes)], 'area': 9, 'iscrowd': 0, 'bbox': [1, 1, 3, 3], **more}
               for index, category in enumerate(categories)]
    records.append({**records[0], 'id': 30, 'segmentation': RLE, 'iscrowd': 1})
    return {'images': [{'id': key, 'file_name': f'{file_name}{key}.jpg', 'height': 6, 'width': 8,
                        'neg_category_ids': [categories[-1]['id']]} for key in (1, 2)],
            'annotations': records, 'categories': categories}


OBJECTS = coco('COCO_', [{'id': 3, 'name': 'car', 'supercategory': 'vehicle'},
                         {'id': 4, 'name': 'traffic light', 'supercategory': 'outdoor'}])
PACO = coco('train2017/', [{'id': 1, 'name': 'car_(automobile)', 'supercategory': 'OBJECT'},
                           {'id': 10, 'name': 'car_(automobile):wheel', 'supercategory': 'PART'},
                           {'id': 11, 'name': 'car_(automobile):hood', 'supercategory': 'PART'}], obj_ann_id=10)
SPIN = {level: coco('n0_', [{'id': 1, 'name': name}]) for level, name in (
    ('wholes', 'Golden_Retriever'), ('parts', 'Quadruped Head'), ('subparts', 'Quadruped-Head-Eyes'))}
LEVELS = {'object': OBJECTS, 'part': coco('COCO_', [{'id': 1, 'name': 'Car Wheel', 'supercategory': 'Car'}]),
          'subpart': coco('COCO_', [{'id': 1, 'name': 'Rim', 'supercategory': 'car wheel', 'part': 'rim'}])}
REFS = [{'ref_id': key, 'ann_id': key + 10, 'image_id': 1, 'split': split,
         'sentences': [{'sent': f'text {key}'}, {'sent': 'another'}]} for key, split in ((0, 'train'), (1, 'val'))]
GREFS = [{**REFS[0], 'ann_id': [10, 11], 'no_target': False}, {**REFS[1], 'ann_id': [], 'no_target': True}]
REFCOCOM = [{'segment_id': 7, 'img_name': 'COCO_1.jpg', 'cat': 3, 'sentences': [{'sent': 'left ear'}]},
            {'segment_id': '8', 'img_name': 'COCO_1.jpg', 'sentences': [{'sent': 'nose'}]}]
INSTRUCTPART = [{'image_path': f'{name}.jpg', 'part_list': [{
    'object': 'tea cup', 'part': 'handle', 'affordance': 'hold', 'instruction': [f'text {each}' for each in range(6)]}]}
    for name in 'ab']
MMR_TARGETS = [{'category_name': name, 'category_id': 3, 'segmentation': RLE}
               for name in ('car_(automobile):wheel', 'car_(automobile)')]
MMR = [{'file_name': f'train2017/{key}.jpg', 'height': 6, 'width': 8, 'image_id': key, 'questions': ['Which?', 'What?'],
        'answers': [MMR_TARGETS[:1], MMR_TARGETS]} for key in (1, 2)]
GSEVAL = [{'idx': key, 'image_path': f'{key}.jpg', 'class_id': 2, 'label': 'eye', 'caption': 'The left eye.',
           'box': [0, 0, 3, 3], 'segmentation': shape} for key, shape in ((5, RLE), (6, [RLE, RLE]))]
LABELME = [{'imagePath': '../images/7.jpg', 'imageHeight': 6, 'imageWidth': 8, 'flags': {}, 'shapes': [
    {'label': 'car:wheel', 'points': [[1, 1], [5, 1], [5.5, 4]], 'group_id': 1, 'shape_type': 'polygon', 'flags': {}},
    {'label': 'hood', 'points': [[1, 1], [3, 4]], 'group_id': None, 'shape_type': 'rectangle'},
    {'label': 'rim', 'points': [[3, 3], [3, 5]], 'shape_type': 'circle'}]}]
REGION = {'original_height': 6, 'original_width': 8}
LABEL_STUDIO = [{'id': 1, 'data': {'image': f'/data/local-files/?d={key}.jpg'}, 'annotations': [{'result': [
    {**REGION, 'type': 'polygonlabels', 'value': {'points': [[10, 10], [80, 10], [50, 90]], 'polygonlabels': ['hood']}},
    {**REGION, 'type': 'rectanglelabels', 'value': {'x': 1, 'rectanglelabels': ['wheel']}}]}]} for key in (1, 2)]
YOLO = {'names': ['car wheel', 'hood'], 'lines': ['0 0.1 0.1 0.8 0.1 0.5 0.9', '1 0.1 0.1 0.5 0.5',
                                                  '1 0.2 0.2 0.9 0.2 0.5 0.5']}
ADE = coco('ADE_train_', [{'id': 27, 'name': 'person, individual'}, {'id': 99, 'name': 'sky'}], part_category_id=[0])


def put(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def write_mask(path: Path) -> None:
    pixels = np.zeros(SIZE, np.uint8)
    pixels[:2, :3] = 255
    Image.fromarray(pixels).save(path)


def put_refs(root: Path, document: dict[str, Any]) -> tuple[Path, Path]:
    (root / 'refs.p').write_bytes(pickle.dumps(document['refs']))
    return root / 'refs.p', put(root / 'instances.json', document['instances'])


def convert_refcocom(root: Path, document: dict[str, Any]) -> Converted:
    put(root / 'annotations' / 'val.json', document['records'])
    return converters.convert_refcocom(root)


def convert_instructpart(root: Path, document: dict[str, Any]) -> Converted:
    put(root / 'data_test.json', document['entries'])
    return converters.convert_instructpart(root)


def convert_gseval(root: Path, document: dict[str, Any]) -> Converted:
    lines = document['lines'] if isinstance(document['lines'], list) else [document['lines']]
    (root / 'x.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    return converters.convert_gseval(root / 'x.jsonl')


def convert_labelme(root: Path, document: dict[str, Any]) -> Converted:
    shutil.rmtree(root / 'labelme/json', ignore_errors=True)
    (root / 'labelme/json').mkdir(parents=True)
    files = document['files'] if isinstance(document['files'], list) else [document['files']]
    for number, content in enumerate(files):
        put(root / f'labelme/json/{number}.json', content)
    return converters.convert_labelme(root / 'labelme', ['car'])


def convert_yolo(root: Path, document: dict[str, Any]) -> Converted:
    (root / 'labels').mkdir(exist_ok=True)
    put(root / 'data.yaml', {'names': document['names']})
    lines = document['lines'] if isinstance(document['lines'], list) else [document['lines']]
    (root / 'labels/7.txt').write_bytes('\n'.join(map(str, lines)).encode(errors='replace'))
    return converters.convert_yolo(root)


def convert_grefcoco(root: Path, document: dict[str, Any]) -> Converted:
    return converters.convert_grefcoco(put(root / 'grefs.json', document['refs']),
                                       put(root / 'instances.json', document['instances']))


def convert_ade(root: Path, document: dict[str, Any]) -> Converted:
    put(root / 'ade20k_instance_train.json', document)
    return converters.convert_ade20k_part_234(root)


def convert_spin(root: Path, document: dict[str, Any]) -> Converted:
    for level in ('wholes', 'parts', 'subparts'):
        put(root / f'spin_train_{level}.json', document.get(level))
    return converters.convert_spin(root)


def one(converted: tuple[Document, list[str]]) -> Converted:
    return {'written': converted[0]}, converted[1]


KINDS: dict[str, tuple[Any, Callable[[Path, Any], Converted]]] = {
    'coco': (OBJECTS, lambda root, document: one(converters.convert_objects(put(root / 'x.json', document), 'coco'))),
    'paco': (PACO, lambda root, document: one(converters.convert_paco(put(root / 'x.json', document)))),
    'spin': (SPIN, convert_spin),
    'refcoco': ({'refs': REFS, 'instances': OBJECTS},
                lambda root, document: converters.convert_refcoco(*put_refs(root, document), 'refcoco', 'unc')),
    'grefcoco': ({'refs': GREFS, 'instances': OBJECTS}, convert_grefcoco),
    'refcocom': ({'records': REFCOCOM}, convert_refcocom),
    'instructpart': ({'entries': INSTRUCTPART}, convert_instructpart),
    'mmr': ({'images': MMR}, lambda root, document: converters.convert_mmr(put(root / 'x.json', document['images']))),
    'gseval': ({'lines': GSEVAL}, convert_gseval),
    'labelme': ({'files': LABELME}, convert_labelme),
    'yolo': (YOLO, convert_yolo),
    'cvat': (OBJECTS, lambda root, document: converters.convert_cvat(put(root / 'x.json', document), ['traffic'])),
    'label_studio': ({'tasks': LABEL_STUDIO}, lambda root, document: converters.convert_label_studio(
        put(root / 'x.json', document['tasks']))),
    'ade20k_part_234': (ADE, convert_ade),
    'join_levels': (LEVELS, lambda root, document: one(join_levels({
        level: str(put(root / f'{level}.json', document[level])) for level in document}))),
}


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The masks and label maps that the jsons refer to."""
    root = tmp_path_factory.mktemp('published')
    for folder in ('masks', 'annotations', 'annotations_detectron2_part/training', 'images'):
        (root / folder).mkdir(parents=True)
    for name in ('7', '8', 'a-tea_cup-handle', 'b-tea_cup-handle'):
        write_mask(root / 'masks' / f'{name}.png')
        Image.new('RGB', SIZE[::-1]).save(root / 'images' / f'{name}.jpg')
    (root / 'labelme/images').mkdir(parents=True)
    Image.new('RGB', SIZE[::-1]).save(root / 'labelme/images/7.jpg')
    labels = np.full(SIZE, 65535, np.uint16)
    labels[1:3, 1:6] = 0
    for name in '12':
        Image.fromarray(labels).save(root / 'annotations_detectron2_part/training' / f'ADE_train_{name}.png')
    return root


def check(tally: Tally, root: Path, convert: Callable[[], Converted]) -> None:
    """Check that what is converted loads, has all that other programs need, and is counted in readable lines."""
    out = root / 'out'
    shutil.rmtree(out, ignore_errors=True)

    def run() -> tuple[list[Path], list[str]]:
        documents, lines = convert()
        return write_documents(documents, out), lines

    written = tally.attempt(run)
    if written is None:
        assert not out.exists()
        return
    paths, lines = written
    assert paths
    assert all(line.isprintable() for line in lines), lines
    for path in paths:
        dataset = PartReferDataset(ann_file=str(path), serialize_data=False)
        assert len(dataset) > 0
        for annotation in json.loads(path.read_text())['annotations']:
            assert annotation['iscrowd'] in (0, 1)
            assert len(annotation['bbox']) == 4
            assert (annotation['area'] > 0) == (annotation['bbox'][2] > 0)


@pytest.mark.parametrize('kind', KINDS)
def test_the_intact_files_are_converted(kind: str, root: Path, tally: Tally) -> None:
    document, convert = KINDS[kind]
    check(tally, root, lambda: convert(root, document))
    assert (root / 'out').exists()


@pytest.mark.parametrize('kind', KINDS)
def test_mutated_records(kind: str, root: Path, tally: Tally) -> None:
    intact, convert = KINDS[kind]

    @BOUNDED
    @given(mutations(intact))
    def attempt(changes: list) -> None:
        document = copy.deepcopy(intact)
        for place, how, value in copy.deepcopy(changes):
            # A file or list as a whole: its content is changed by the next test.
            if len(place) > 1:
                mutate(document, place, how, value)
        check(tally, root, lambda: convert(root, document))

    attempt()


@pytest.mark.parametrize('kind', KINDS)
def test_junk_instead_of_a_list(kind: str, root: Path, tally: Tally) -> None:
    intact, convert = KINDS[kind]
    for key in intact:
        for value in JUNK[::1 if MORE > 1 else 11]:
            check(tally, root, lambda key=key, value=value: convert(root, {**intact, key: copy.deepcopy(value)}))


def flip(content: bytes, draw: random.Random) -> bytes:
    """Return a file with a few bits flipped, or truncated."""
    damaged = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 3))):
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    return bytes(damaged[:draw.randrange(len(damaged))] if draw.random() < 0.2 else damaged)


@pytest.mark.parametrize(('name', 'kind'), [
    ('refcocom', 'masks/7.png'), ('instructpart', 'masks/a-tea_cup-handle.png'),
    ('ade20k_part_234', 'annotations_detectron2_part/training/ADE_train_1.png')])
def test_flipped_bits_in_masks(name: str, kind: str, root: Path, tally: Tally) -> None:
    """A checksum detects all that change pixels."""
    document, convert = KINDS[name]
    expected, _ = convert(root, document)
    intact, draw = (root / kind).read_bytes(), random.Random(0)
    try:
        for _ in range(60 * MORE):
            (root / kind).write_bytes(flip(intact, draw))
            found: list[dict] = []
            check(tally, root, lambda found=found: (found.append(convert(root, document)[0]) or found[0], []))
            assert found in ([], [expected])
    finally:
        (root / kind).write_bytes(intact)


def write_mat(path: Path, compress: bool) -> bytes:
    """Write the .mat of an image with a car and its wheel; returns its content."""
    mask = np.zeros(SIZE, np.uint8)
    mask[:2, :3] = 1
    part = np.zeros((1, 1), [('part_name', object), ('mask', object)])
    part[0, 0] = ('wheel_1', mask)
    thing = np.zeros((1, 1), [('class', object), ('class_ind', object), ('mask', object), ('parts', object)])
    thing[0, 0] = ('car', 7, np.ones(SIZE, np.uint8), part)
    savemat(path, {'anno': {'imname': path.stem, 'objects': thing}}, do_compression=compress)
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize('compress', [True, False])
def test_flipped_bits_in_mats(compress: bool, tmp_path: Path, tally: Tally) -> None:
    """Files with a flipped bit, next to an intact one: SciPy crashes on some, none of which ends the conversion."""
    folder, draw = tmp_path / 'Annotations_Part', random.Random(1)
    folder.mkdir()
    write_mat(folder / 'intact.mat', compress)
    number = 60 * MORE
    for index in range(number):
        path = folder / f'damaged{index:05}.mat'
        intact = write_mat(path, compress)
        # The header has only text.
        path.write_bytes(intact[:128] + flip(intact[128:], draw))
    lines: list[str] = []

    def convert() -> Converted:
        document, found = converters.convert_pascal_part(folder, on_error='skip')
        lines.extend(found)
        return {'all': document}, found

    check(tally, tmp_path, convert)
    images = [image['id'] for image in json.loads((tmp_path / 'out' / 'all.json').read_text())['images']]
    skipped = [line for line in lines if line.startswith('skipped: ')]
    tally.outcomes['mats'] += number
    assert images[-1] == 'intact'
    empty, = re.findall(r'dropped: (\d+) without an object', lines[0])
    assert len(images) + len(skipped) + int(empty) == number + 1
    if compress:  # checksums detect every change
        assert images == ['intact']
    else:
        assert any('ends with code -11' in line for line in skipped)


@settings(BOUNDED, max_examples=80 * MORE)
@given(st.binary(max_size=40) | st.text(max_size=20).map(lambda text: text.encode('utf-16', 'surrogatepass')))
def test_lists_of_images(tmp_path_factory: pytest.TempPathFactory, tally: Tally, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / 'lists'
    folder.mkdir(exist_ok=True)
    (folder / 'names.txt').write_bytes(content)
    assert tally.attempt(lambda: converters.convert_pascal_part(folder, folder / 'names.txt')) is None


def test_pickles_with_flipped_bits(root: Path, tally: Tally) -> None:
    document, _ = KINDS['refcoco']
    files = put_refs(root, document)
    intact, draw = files[0].read_bytes(), random.Random(2)
    for _ in range(100 * MORE):
        files[0].write_bytes(flip(intact, draw))
        check(tally, root, lambda: converters.convert_refcoco(*files, 'refcoco', 'unc'))


def test_other_encodings_of_a_json(root: Path, tally: Tally) -> None:
    """Those that a byte order mark or zero bytes give away are read, the others are rejected."""
    text = json.dumps({**OBJECTS, 'info': {'source': 'Sécheresse'}}, ensure_ascii=False)
    for encoding, read in (('utf-8-sig', True), ('utf-16', True), ('utf-32', True), ('latin-1', False),
                           ('utf-16-le', True)):
        found: list[Converted] = []
        (root / 'x.json').write_bytes(text.encode(encoding))
        check(tally, root, lambda found=found: (found.append(one(converters.convert_objects(root / 'x.json', 'coco')))
                                                or found[0]))
        assert bool(found) == read, encoding
    for depth in (900, 5000, 100_000):
        (root / 'x.json').write_text(text[:-1] + ', "x": ' + '[' * depth + ']' * depth + '}')
        check(tally, root, lambda: one(converters.convert_objects(root / 'x.json', 'coco')))


def test_images_of_other_modes(root: Path, tally: Tally) -> None:
    """Each mode of Pillow as a mask: the intact one, or an error that names it."""
    document, convert = KINDS['refcocom']
    expected, _ = convert(root, document)
    path = root / 'masks' / '7.png'
    intact = path.read_bytes()
    try:
        for mode in ('1', 'L', 'P', 'RGB', 'RGBA', 'LA', 'I;16', 'I', 'F', 'CMYK', 'YCbCr', 'HSV', 'LAB'):
            for fmt in ('PNG', 'TIFF', 'JPEG', 'GIF'):
                content = io.BytesIO()
                try:
                    Image.open(io.BytesIO(intact)).convert(mode).save(content, fmt)
                except (OSError, ValueError, KeyError):
                    continue  # the format has no such mode
                path.write_bytes(content.getvalue())
                found: list[dict] = []
                check(tally, root, lambda found=found: (found.append(convert(root, document)[0]) or found[0], []))
                assert found in ([], [expected]), (mode, fmt)
    finally:
        path.write_bytes(intact)
