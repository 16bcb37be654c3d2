"""Files of labelling programs: each form gives the masks that were drawn, also of predictions that were exported."""
import base64
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.apis.formats.annotation_files import AnnotationFiles
from mmpartref.apis.formats.labelled_masks import FormatOptions, LabelledMask
from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_cvat, convert_label_studio, convert_labelme, convert_yolo
from mmpartref.datasets.converters.labelling.label_document import LabelNames
from mmpartref.datasets.converters.standard_json import write_documents
from mmpartref.errors import InputError

SIZE = (60, 80)


def box(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def masks_of(document: dict) -> dict[str, list[np.ndarray]]:
    names = {each['id']: (each['supercategory'], each['part']) for each in document['categories']}
    found: dict[str, list[np.ndarray]] = {}
    for each in document['annotations']:
        found.setdefault(' '.join(filter(None, names[each['category_id']])), []).append(
            coco_mask.decode(each['segmentation']).astype(bool))
    return found


def save_image(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size[::-1]).save(path)
    return path


# Names.


def test_labels_are_split_by_the_rule():
    names = LabelNames(['car', 'swivel chair', 'chair'])
    expected = {'car wheel': ('car', 'wheel'), 'Swivel Chair back': ('swivel chair', 'back'),
                'chair back': ('chair', 'back'), 'carpet edge': ('', 'carpet edge'), 'car': ('', 'car'),
                'cup:handle': ('cup', 'handle'), ':x': ('', ':x'), 'dog head': ('', 'dog head')}
    assert {label: names.split(label) for label in expected} == expected
    assert LabelNames(separator='/').split('car/left/door') == ('car', 'left/door')
    with pytest.raises(InputError, match='separator'):
        LabelNames(separator=' ')


# Predictions that were exported are read back.


@pytest.mark.parametrize(('kind', 'convert'), [('labelme', convert_labelme), ('yolo', convert_yolo),
                                               ('label-studio', convert_label_studio)])
def test_exported_predictions_are_read_back(tmp_path, kind, convert):
    root = tmp_path / 'set'
    image = save_image(root / 'images/sub/a.png')
    ellipse = cv2.ellipse(np.zeros(SIZE, np.uint8), (30, 30), (22, 17), 20, 0, 360, 1, -1).astype(bool)
    masks = [LabelledMask('car body', ellipse, 0.5, 0), LabelledMask('car wheel', box(40, 58, 50, 79), 0.5, 1)]
    writer = AnnotationFiles(kind, root, ['car body', 'car wheel'], {}, FormatOptions())
    writer.add('sub/a.png', str(image), Path('sub/a'), SIZE, masks, 0)
    writer.finish()
    source = root / 'label_studio.json' if kind == 'label-studio' else root
    if kind == 'label-studio':
        # As accepted by a person: the prediction's regions as an annotation.
        tasks = json.loads(source.read_text())
        for task in tasks:
            task['annotations'] = [{'result': task.pop('predictions')[0]['result']}]
        source.write_text(json.dumps(tasks))
    documents, lines = convert(source, ['car'])
    ((name, document), ) = documents.items()
    assert name == source.stem
    (record, ) = document['images']
    assert record['file_name'] == ('images/sub/a.png' if kind == 'labelme' else 'sub/a.png')
    found = masks_of(document)
    assert set(found) == {'car body', 'car wheel'}
    for each in masks:
        (mask, ) = found[each.label]
        assert (mask & each.mask).sum() / (mask | each.mask).sum() >= 0.98
    assert any('2 parts of 1 objects: car body, car wheel' in line for line in lines)
    # What is written loads.
    (path, ) = write_documents(documents, tmp_path / 'out')
    entry = PartReferDataset(ann_file=path, test_mode=True).get_data_info(0)
    assert sorted(ref['expressions'][0] for ref in entry['refs']) == ['car body', 'car wheel']


# LabelMe.


def labelme_file(path: Path, shapes: list[dict], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({'version': '5.5.0', 'shapes': shapes, 'imagePath': 'a.png', 'imageData': None, **more}))
    return path


def shape(label: str = 'car:wheel', kind: str = 'polygon', points: Any = ((1, 1), (9, 1), (9, 9), (1, 9)),
          **more: Any) -> dict:
    return {'label': label, 'shape_type': kind, 'points': [list(point) for point in points], 'group_id': None, **more}


def png(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(file, 'PNG')
    return base64.b64encode(file.getvalue()).decode()


def test_labelme_draws_every_shape_with_an_area(tmp_path):
    save_image(tmp_path / 'a.png')
    labelme_file(tmp_path / 'a.json', [
        shape(), shape('box', 'rectangle', ((20, 20), (29, 24))), shape('disc', 'circle', ((50, 30), (50, 40))),
        shape('mask', 'mask', ((5, 40), (8, 42)), mask=png(np.eye(3, 4, dtype=bool))),
        shape('two', group_id=1), shape('two', points=((60, 1), (69, 1), (69, 9)), group_id=1),
        shape('gone', 'point', ((3, 3), )), shape('thin', points=((3, 3), (4, 4))), shape(' ')])
    (tmp_path / 'other.json').write_text('{"a": 1}')
    documents, lines = convert_labelme(tmp_path)
    found = masks_of(documents[tmp_path.name])
    # LabelMe's own drawing includes the border.
    assert np.array_equal(found['car wheel'][0], box(1, 10, 1, 10))
    assert np.array_equal(found['box'][0], box(20, 25, 20, 30))
    assert abs(found['disc'][0].sum() - np.pi * 10.5**2) < 12
    assert np.argwhere(found['mask'][0]).tolist() == [[40, 5], [41, 6], [42, 7]]
    assert len(found['two']) == 1
    assert found['two'][0][5, 5]
    assert found['two'][0][3, 68]
    assert any("9 read, 6 written; dropped: 1 of the kind 'point', 1 polygons with too few points, 1 without a label; "
               '5 annotations' in line for line in lines), lines
    assert lines[-1] == '1 other json files ignored'


@pytest.mark.parametrize(('content', 'message'), [
    ({'shapes': 3}, "'imagePath' is not a text or 'shapes' not a list"),
    ({'shapes': [3]}, r'shapes\[0\] is a int, not an object'),
    ({'shapes': [shape(label=3)]}, r'shapes\[0\]: its label is 3, not a text'),
    ({'shapes': [{**shape(), 'points': 'x'}]}, r"shapes\[0\]: its points are 'x', not"),
    ({'shapes': [shape(points=((1, 1), (9, 1), (9, 1e9)))]}, r'a point is far outside of its image of 60 x 80'),
    ({'shapes': [shape(kind='mask', points=((5, 40), (8, 42)), mask='!!')]}, 'its mask is not a PNG in base64'),
    ({'shapes': [shape(kind='mask', points=((5, 40), (8, 42)), mask=png(np.ones((5, 5), bool)))]}, 'its mask is .5'),
    ({'shapes': [shape()], 'imagePath': '../b.png'}, r'its image \.\./b\.png is not in'),
    ({'shapes': [shape()], 'imagePath': 'b.png', 'imageHeight': None}, 'does not exist, and the file has no image'),
    ({'shapes': [shape()], 'imageHeight': 5, 'imageWidth': 80}, r'are \(5, 80\) but its image is \(60, 80\)'),
    ({'shapes': []}, 'none of 0 shapes is a mask with a label'),
])
def test_wrong_labelme_files_are_named(tmp_path, content, message):
    save_image(tmp_path / 'set/a.png')
    save_image(tmp_path / 'b.png')
    labelme_file(tmp_path / 'set/a.json', **content)
    with pytest.raises((InputError, FileNotFoundError), match=message):
        convert_labelme(tmp_path / 'set')


# YOLO.


@pytest.fixture
def yolo(tmp_path) -> Path:
    save_image(tmp_path / 'images/train/a.jpg')
    save_image(tmp_path / 'images/b.jpg')
    (tmp_path / 'labels/train').mkdir(parents=True)
    (tmp_path / 'data.yaml').write_text('names: [car wheel, car body]\n')
    return tmp_path


def test_yolo_lines_are_polygons(yolo):
    # As Ultralytics draws: pixels 8 to 40 and 12 to 30, both included.
    (yolo / 'labels/train/a.txt').write_text('1 0.1 0.2 0.5 0.2 0.5 0.5 0.1 0.5\n\n0 0.5 0.5 0.1 0.1\n')
    documents, lines = convert_yolo(yolo, ['car'])
    (document, ) = documents.values()
    assert np.array_equal(masks_of(document)['car body'][0], box(12, 31, 8, 41))
    assert document['images'] == [{'id': 1, 'file_name': 'train/a.jpg', 'height': 60, 'width': 80}]
    assert any('2 read, 1 written; dropped: 1 boxes' in line for line in lines)
    assert lines[-1] == '1 images without a text file'


@pytest.mark.parametrize(('line', 'message'), [
    ('2 0.1 0.2 0.5 0.2 0.5 0.5', r'line 1: its class is 2, which is not among the 2 names'),
    ('0.5 0.1 0.2 0.5 0.2 0.5 0.5', 'its class is 0.5'), ('0 0.1 x 0.5 0.2 0.5 0.5', "something that is not a number"),
    ('0 0.1 nan 0.5 0.2 0.5 0.5', "something that is not a number"), ('0 0.1 0.2 0.5', 'has 4 numbers; a polygon is'),
    ('0 0.1 0.2 0.5 0.2 0.5 0.5 0.3', 'has 8 numbers'), ('0 1.5 0.2 0.5 0.2 0.5 0.5', 'has the coordinate 1.5'),
    ('0 -0.5 0.2 0.5 0.2 0.5 0.5', 'has the coordinate -0.5')])
def test_wrong_yolo_lines_are_named(yolo, line, message):
    (yolo / 'labels/train/a.txt').write_text(line)
    with pytest.raises(InputError, match=message):
        convert_yolo(yolo)


def test_wrong_yolo_folders_are_named(yolo, tmp_path):
    (yolo / 'labels/c.txt').write_text('')
    with pytest.raises(FileNotFoundError, match=r'c\.txt has no image .*c\.jpg or the like'):
        convert_yolo(yolo)
    for content, message in (('names: 3', "'names' is 3, not a list"), ('a: [', 'is not a YAML file'),
                             ('names: {a: b}', "'names' is")):
        (yolo / 'data.yaml').write_text(content)
        with pytest.raises(InputError, match=message):
            convert_yolo(yolo)
    with pytest.raises(FileNotFoundError, match='is not a folder; name that of the images'):
        convert_yolo(yolo, images=tmp_path / 'none')


# CVAT.


def test_cvats_labels_become_parts(tmp_path):
    ring = [[10, 10, 30, 10, 30, 20, 10, 20]]
    document = {'images': [{'id': 1, 'file_name': 'a.jpg', 'height': 60, 'width': 80}],
                'categories': [{'id': 1, 'name': 'car wheel', 'supercategory': ''},
                               {'id': 2, 'name': 'car:wheel', 'supercategory': ''},
                               {'id': 3, 'name': 'dog head', 'supercategory': ''}],
                'annotations': [
                    {'id': 1, 'image_id': 1, 'category_id': 1, 'segmentation': ring, 'iscrowd': 0},
                    {'id': 2, 'image_id': 1, 'category_id': 2, 'iscrowd': 1,
                     'segmentation': {'size': [60, 80], 'counts': [100, 50, 4650]}},
                    {'id': 3, 'image_id': 1, 'category_id': 3, 'segmentation': [], 'iscrowd': 0}]}
    path = tmp_path / 'instances_default.json'
    path.write_text(json.dumps(document))
    documents, lines = convert_cvat(path, ['car'])
    (written, ) = write_documents(documents, tmp_path / 'out')
    entry = PartReferDataset(ann_file=written, test_mode=True).get_data_info(0)
    assert [(ref['expressions'], ref['ann_ids']) for ref in entry['refs']] == [(['car wheel'], [1, 2])]
    assert any('3 read, 2 written; dropped: 1 boxes; 1 were painted' in line for line in lines)
    document['annotations'] = document['annotations'][2:]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match='has no annotation with a mask'):
        convert_cvat(path)


# Label Studio.


def region(kind: str, size: tuple[int, int] = SIZE, **value: Any) -> dict:
    return {'type': kind, 'original_height': size[0], 'original_width': size[1], 'value': value}


def encode_brush(mask: np.ndarray) -> list[int]:
    """Run lengths of an RGBA image as Label Studio writes them: values of 8 bits, counts of 3, 4, 8 and 16 bits."""
    values = np.repeat(mask.reshape(-1), 4) * 255
    bits = f'{len(values):032b}' + f'{7:05b}' + ''.join(f'{size - 1:04b}' for size in (3, 4, 8, 16))
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(values)], strict=True):
        while start < stop:
            count = min(stop - start, 2**16)
            # Runs of one value are also written value by value.
            bits += ('1' + '11' + f'{count - 1:016b}' + f'{values[start]:08b}' if count > 5 else
                     '0' + '00' + f'{count - 1:03b}' + f'{values[start]:08b}' * count)
            start += count
    bits += '0' * (-len(bits) % 8)
    return [int(bits[place:place + 8], 2) for place in range(0, len(bits), 8)]


def test_label_studios_polygons_and_brushes_are_read(tmp_path):
    stroke = box(7, 30, 3, 6) | box(40, 41, 70, 71)
    result = [region('polygonlabels', points=[[10, 20], [50, 20], [50, 50], [10, 50]], polygonlabels=['car:body', 'x']),
              region('brushlabels', format='rle', rle=encode_brush(stroke), brushlabels=['car:wheel']),
              region('rectanglelabels', x=1, y=1, width=5, height=5, rectanglelabels=['car:wheel']),
              {'type': 'choices', 'value': {'choices': ['good']}},
              # A typed expression without a label, as the backend gives it.
              {**region('polygon', points=[[0, 0], [50, 0], [50, 50], [0, 50]]), 'meta': {'text': ['car:mirror']}}]
    tasks = [{'data': {'image': '/data/local-files/?d=/sub/a%20b.jpg'}, 'annotations': [
                {'result': [], 'was_cancelled': False}, {'result': result}, {'result': [3], 'was_cancelled': True}]},
             {'data': {'image': 'http://host/data/upload/3/0a1b2c3d-b.jpg'}, 'annotations': [{'result': result[:1]}]},
             {'data': {'text': 'words', 'picture': 's3://bucket/c.jpg'}, 'annotations': []}]
    path = tmp_path / 'export.json'
    path.write_text(json.dumps(tasks))
    documents, lines = convert_label_studio(path)
    assert [each['file_name'] for each in documents['export']['images']] == ['sub/a b.jpg', 'b.jpg']
    found = masks_of(documents['export'])
    assert np.array_equal(found['car body'][0], box(12, 30, 8, 40))
    assert np.array_equal(found['x'][0], found['car body'][0])
    assert np.array_equal(found['car wheel'][0], stroke)
    assert np.array_equal(found['car mirror'][0], box(0, 30, 0, 40))
    assert lines[-1] == '3 tasks; dropped: 1 without a region, 1 cancelled annotations'
    assert any("dropped: 1 not of an image, 1 of the kind 'rectanglelabels'" in line for line in lines)


@pytest.mark.parametrize(('tasks', 'message'), [
    ({'a': 1}, 'is not a list of tasks'), ([{'data': {}}], "task number 0 has no list 'annotations'"),
    ([{'data': {'image': 'a/b.jpg'}, 'annotations': [{'result': 3}]}], "'result' is not a list of regions"),
    ([{'data': {}, 'annotations': [{'result': [region('polygonlabels', points=[])]}]}], "'data' has no address"),
    ([{'data': {'image': 'a/b.jpg'}, 'annotations': [{'result': [
        region('polygonlabels', points=[]), region('polygonlabels', (5, 5), points=[])]}]}], 'are of images of'),
    ([{'data': {'image': 'a/b.jpg'}, 'annotations': [{'result': [region('brushlabels', rle=[1, 2])]}]}],
     r"its 'rle' is not that of an image of 60 x 80 pixels"),
    ([{'data': {'image': 'a/b.jpg'}, 'annotations': [{'result': [
        region('brushlabels', rle=encode_brush(box(0, 1, 0, 1))[:-9])]}]}], "its 'rle' is not that of an image"),
    ([{'data': {'image': 'a/b.jpg'}, 'annotations': [{'result': [
        region('polygonlabels', points=[[0, 0], [9, 0], [9, 9]], polygonlabels=[3])]}]}], 'its label is 3, not a text'),
])
def test_wrong_exports_are_named(tmp_path, tasks, message):
    path = tmp_path / 'export.json'
    path.write_text(json.dumps(tasks))
    with pytest.raises(InputError, match=message):
        convert_label_studio(path)
