"""Each annotation format, decoded again as its own program decodes it."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmpartref.apis import ImageResults
from mmpartref.apis.formats.annotation_files import FORMATS, AnnotationFiles
from mmpartref.apis.formats.labelled_masks import FormatOptions
from mmpartref.apis.results import PartResult
from mmpartref.errors import InputError
from mmpartref.images.read_image import DecodedImage

SIZE = (120, 160)
LEAST = 0.98


def ellipse(centre: tuple[int, int], axes: tuple[int, int]) -> np.ndarray:
    return cv2.ellipse(np.zeros(SIZE, np.uint8), centre, axes, 20, 0, 360, 1, -1).astype(bool)


@pytest.fixture
def results() -> ImageResults:
    """Two wheels and a speck, a window with a hole, and a part that is not found."""
    image = DecodedImage(np.zeros((*SIZE, 3), np.uint8), 'images/car.jpg')
    speck = np.zeros(SIZE, bool)
    speck[3:5, 3:5] = True
    wheels = ellipse((40, 80), (25, 20)) | ellipse((120, 80), (22, 18)) | speck
    window = ellipse((80, 30), (40, 24)) & ~ellipse((80, 30), (10, 8))
    found = {'car wheel': (wheels, 0.75), 'car window': (window, 0.5), 'car mirror': (np.zeros(SIZE, bool), 0.0)}
    return ImageResults(image, [PartResult(image, name, *each) for name, each in found.items()])


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def rasterise(points: list[list[float]]) -> np.ndarray:
    """As LabelMe's shape_to_mask: PIL's polygon, its border included."""
    canvas = Image.new('L', SIZE[::-1])
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in points], outline=1, fill=1)
    return np.array(canvas, dtype=bool)


def test_coco_has_rle_or_polygons(results, tmp_path, capsys):
    for polygons in (False, True):
        content = results.to_coco(polygons=polygons)
        (tmp_path / 'coco.json').write_text(json.dumps(content))
        coco = COCO(str(tmp_path / 'coco.json'))
        capsys.readouterr()
        assert coco.imgs[1]['file_name'] == 'images/car.jpg'
        assert [each['name'] for each in coco.dataset['categories']] == ['car wheel', 'car window', 'car mirror']
        assert content['info'] == {'empty_masks': 1}
        for annotation, result in zip(coco.dataset['annotations'], results, strict=False):
            assert iou(coco.annToMask(annotation).astype(bool), result.mask) >= (LEAST if polygons else 1)
            assert annotation['score'] == result.score
            assert isinstance(annotation['segmentation'], list) == polygons


def test_yolo_has_a_line_per_piece(results):
    lines = results.to_yolo(['car body', 'car window', 'car wheel', 'car mirror'])
    assert [line.split()[0] for line in lines] == ['2', '2', '2', '1']
    for result, number in zip(results[:2], ('2', '1'), strict=True):
        drawn = np.zeros(SIZE, np.uint8)
        for line in lines:
            values = np.array(line.split()[1:], dtype=float).reshape(-1, 2)
            assert ((values >= 0) & (values <= 1)).all()
            assert len(values) >= 3
            if line.split()[0] == number:
                # As Ultralytics' polygon2mask.
                cv2.fillPoly(drawn, [(values * SIZE[::-1]).astype(np.int32)], 1)
        assert iou(drawn.astype(bool), result.mask) >= LEAST
    with pytest.raises(InputError, match="'car window' is not one of names="):
        results.to_yolo(['car wheel', 'car mirror'])
    assert [line.split()[0] for line in results.to_yolo()] == ['0', '0', '0', '1']


def test_labelme_groups_the_pieces_of_an_expression(results):
    document = results.to_labelme()
    assert (document['imagePath'], document['imageData'], document['imageHeight'], document['imageWidth']) == (
        'images/car.jpg', None, *SIZE)
    assert [(each['label'], each['group_id']) for each in document['shapes']] == [
        *[('car wheel', 0)] * 3, ('car window', None)]
    assert document['shapes'][0]['description'] == 'score 0.750'
    for result in results[:2]:
        drawn = np.any([rasterise(each['points']) for each in document['shapes'] if each['label'] == result.expression],
                       axis=0)
        assert iou(drawn, result.mask) >= LEAST


def test_label_studio_has_percent_of_the_image(results):
    task = results.to_label_studio('http://host/car.jpg', model_version='tiny', from_name='parts', to_name='photo')
    assert task['data'] == {'image': 'http://host/car.jpg'}
    (prediction, ) = task['predictions']
    assert (prediction['model_version'], prediction['score']) == ('tiny', (0.75 + 0.5) / 2)
    regions = prediction['result']
    assert len({each['id'] for each in regions}) == len(regions) == 4
    for each in regions:
        assert (each['type'], each['from_name'], each['to_name'], each['original_width'], each['original_height'],
                each['image_rotation'], each['value']['closed']) == (
                    'polygonlabels', 'parts', 'photo', SIZE[1], SIZE[0], 0, True)
    for result in results[:2]:
        rings = [np.array(each['value']['points']) * SIZE[::-1] / 100 for each in regions
                 if each['value']['polygonlabels'] == [result.expression]]
        rles = coco_mask.frPyObjects([ring.reshape(-1).tolist() for ring in rings], *SIZE)
        assert iou(coco_mask.decode(coco_mask.merge(rles)).astype(bool), result.mask) >= LEAST
    assert results.to_label_studio()['predictions'] == results.to_label_studio()['predictions']


def test_components_are_annotations_above_a_size(results):
    found = results.to_coco(instances='components')['annotations']
    # The speck of 4 pixels is dropped.
    assert [each['category_id'] for each in found] == [1, 1, 2]
    assert found[0]['area'] > found[1]['area'] > 1000
    assert len(results.to_coco(instances='components', min_area=4)['annotations']) == 4
    assert len(results.to_yolo(instances='components')) == 3
    assert {each['group_id'] for each in results.to_labelme(instances='components')['shapes']} == {None}
    assert len(results.to_label_studio(instances='components')['predictions'][0]['result']) == 3


def test_a_detectors_instances_stay_what_they_are(results):
    wheels = results[0]
    left = wheels.mask.copy()
    left[:, 80:] = False
    wheels.instances = [(left, 0.9), (wheels.mask & ~left, 0.6), (np.zeros(SIZE, bool), 0.55)]
    found = results.to_coco(instances='components')['annotations']
    assert [(each['area'], each['score']) for each in found[:2]] == [(left.sum(), 0.9),
                                                                   ((wheels.mask & ~left).sum(), 0.6)]
    assert len(results.to_coco()['annotations']) == 2


@pytest.mark.full_mmcv
def test_the_inferencer_gives_a_detectors_instances(detector, cris, image):
    results = detector(image, ['car body', 'car side mirror'])
    for each in results:
        assert each.instances is not None
        union = np.any([mask for mask, _ in each.instances], axis=0) if each.instances else np.zeros_like(each.mask)
        assert np.array_equal(union, each.mask)
        scores = [score for _, score in each.instances]
        assert scores == sorted(scores, reverse=True)
        assert max(scores, default=0) == pytest.approx(each.score)
    assert any(each.instances for each in results)
    assert cris(image, 'car body')[0].instances is None


@pytest.mark.parametrize(('options', 'message'), [
    ({'instances': 'two'}, 'instances'), ({'min_area': 0}, 'min_area=0 must be at least 1'),
    ({'tolerance': -1}, 'tolerance'), ({'tolerance': 'x'}, 'tolerance')])
def test_wrong_options_are_named(results, options, message):
    for method in (results.to_coco, results.to_yolo, results.to_labelme, results.to_label_studio):
        with pytest.raises((InputError, TypeError), match=message):
            method(**options)


@pytest.mark.parametrize('kind', FORMATS)
def test_files_are_those_that_were_announced(results, tmp_path, kind):
    source = tmp_path / 'images/sub/car.jpg'
    source.parent.mkdir(parents=True)
    source.write_bytes(b'')
    out = tmp_path / 'out'
    names = [each.expression for each in results]
    writer = AnnotationFiles(kind, out, names, {'checkpoint': 'work/tiny/epoch_7.pth'}, FormatOptions())
    stems = [Path('sub/car'), Path('empty')]
    masks = results.labelled_masks()
    writer.add('sub/car.jpg', str(source), stems[0], SIZE, masks, 1)
    writer.add('empty.jpg', 'empty.jpg', stems[1], SIZE, [], 3)
    writer.finish()
    assert sorted(writer.files(stems)) == sorted(path for path in out.rglob('*') if path.is_file())
    check_file(kind, out, source)


def test_label_studios_addresses(tmp_path):
    def address(name: str, image_url: str) -> str:
        return AnnotationFiles('label-studio', tmp_path, [], {}, FormatOptions(), image_url=image_url).address(name)

    assert address('a b#1&c%20.jpg', '/data/local-files/?d=') == '/data/local-files/?d=a%20b%231%26c%2520.jpg'
    assert address('sub/a.jpg', 'https://host/images') == 'https://host/images/sub/a.jpg'
    assert address('https://host/a.jpg', 's3://bucket') == 'https://host/a.jpg'


def test_names_of_any_script_are_in_the_yaml(tmp_path):
    names = ['😀 wheel', 'roue "avant"', 'колесо']
    AnnotationFiles('yolo', tmp_path, names, {}, FormatOptions()).finish()
    assert list(yaml.safe_load((tmp_path / 'data.yaml').read_text())['names'].values()) == names


def test_yolos_labels_have_the_names_of_their_images(tmp_path):
    yolo = AnnotationFiles('yolo', tmp_path, [], {}, FormatOptions())
    yolo.check_new({Path('sub/a.b'): 'sub/a.b.jpg', Path('c'): 'https://host/c.jpg'})
    with pytest.raises(InputError, match=r'YOLO looks for the labels of a\.png in the same text file as for another'):
        yolo.check_new({Path('a'): 'a.jpg', Path('a_png'): 'a.png'})


def check_file(kind: str, out: Path, source: Path) -> None:
    if kind == 'coco':
        content = json.loads((out / 'annotations.json').read_text())
        assert [each['file_name'] for each in content['images']] == ['sub/car.jpg', 'empty.jpg']
        assert content['info']['empty_masks'] == 4
    if kind == 'yolo':
        names = yaml.safe_load((out / 'data.yaml').read_text())
        assert names['names'] == {0: 'car wheel', 1: 'car window', 2: 'car mirror'}
        assert len((out / 'labels/sub/car.txt').read_text().splitlines()) == 4
        assert (out / 'labels/empty.txt').read_text() == ''
    if kind == 'labelme':
        document = json.loads((out / 'labelme/sub/car.json').read_text())
        assert (out / 'labelme/sub' / document['imagePath']).resolve() == source.resolve()
    if kind == 'label-studio':
        tasks = json.loads((out / 'label_studio.json').read_text())
        assert [each['data']['image'] for each in tasks] == ['/data/local-files/?d=sub/car.jpg',
                                                           '/data/local-files/?d=empty.jpg']
        assert tasks[0]['predictions'][0]['model_version'] == 'tiny/epoch_7'
        assert tasks[1]['predictions'][0]['result'] == []
