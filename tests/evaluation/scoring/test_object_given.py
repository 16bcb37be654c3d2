import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.datasets.partimagenet.partimagenet_names import OBJECT_MAP_BACKGROUND, load_synsets
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import PredictionDump
from mmpartref.evaluation.dumps.predictions import ImagePredictions
from mmpartref.evaluation.scoring.object_given import compare_object_given, limit_to_objects
from mmpartref.masks.iou import encode_masks

SIZE = (1, 60)


@pytest.fixture
def dump(strip) -> PredictionDump:
    """Lengths on an image of one row: a bird from 0 to 20, whose head is predicted too long, and a car's wheel."""
    return PredictionDump({'config': 'cris.py'}, [ImagePredictions(1, 'images/val/a.jpg', SIZE, [
        strip('head', [(0, 10)], [(0, 30)]),
        strip('tail', [(10, 20)], [(10, 20)]),
        strip('wheel', [(40, 50)], [(35, 50)], owner='car')])])


def lengths(dump: PredictionDump) -> list[int]:
    return [int(coco_mask.area(each.pred)) for each in dump.images[0].expressions]


def objects_json(path: Path, objects: dict[str, tuple[int, int]], file_name: str = 'other/a.png',
                 size: tuple[int, int] = SIZE) -> Path:
    masks = []
    for start, stop in objects.values():
        mask = np.zeros(size, dtype=bool)
        mask[:, start:stop] = True
        masks.append(mask)
    document = {
        'images': [{'id': 77, 'file_name': file_name, 'height': size[0], 'width': size[1]}],
        'categories': [{'id': number, 'name': name} for number, name in enumerate(objects, 1)],
        'annotations': [{'id': number, 'image_id': 77, 'category_id': number, 'segmentation': rle}
                        for number, rle in enumerate(encode_masks(np.stack(masks)), 1)]}
    path.write_text(json.dumps(document))
    return path


def test_the_object_is_the_union_of_its_annotated_parts(dump):
    limited = limit_to_objects(dump)
    assert lengths(limited.dump) == [20, 10, 10]
    assert (limited.source, limited.unlimited) == ('union of the annotated parts', [])
    before, after = (each['mIoU'] for each in compare_object_given(dump, limited).values())
    assert before == pytest.approx((10 / 30 + 1 + 10 / 15) / 3)
    assert after == pytest.approx((10 / 20 + 1 + 1) / 3)


def test_objects_of_a_json_are_found_by_name(dump, tmp_path):
    limited = limit_to_objects(dump, object_ann=objects_json(tmp_path / 'o.json', {'Bird': (0, 25), 'Boat': (30, 60)}))
    assert lengths(limited.dump) == [25, 10, 15]
    assert limited.unlimited == ['1:wheel']
    with pytest.raises(InputError, match=r'3 of 3 expressions have no object among the objects of .*o\.json; their'):
        limit_to_objects(dump, object_ann=objects_json(tmp_path / 'o.json', {'Boat': (30, 60)}))
    with pytest.raises(InputError, match='3 of 3 expressions have no object'):
        limit_to_objects(dump, object_ann=objects_json(tmp_path / 'o.json', {'Bird': (0, 25)}, 'b.png'))
    with pytest.raises(InputError, match=r'image a is \(2, 60\) pixels \(height, width\) but \(1, 60\) in the dump'):
        limit_to_objects(dump, object_ann=objects_json(tmp_path / 'o.json', {'Bird': (0, 25)}, size=(2, 60)))


@pytest.fixture
def maps(tmp_path) -> Path:
    """A map with two classes of birds and a boat."""
    owners = [synset.super_category for synset in load_synsets().values()]
    birds = [label for label, owner in enumerate(owners) if owner == 'Bird'][:2]
    labels = np.full(SIZE, OBJECT_MAP_BACKGROUND, dtype=np.uint8)
    labels[:, 5:15], labels[:, 15:22], labels[:, 30:] = *birds, owners.index('Boat')
    Image.fromarray(labels).save(tmp_path / 'a.png')
    return tmp_path


def test_objects_of_maps_are_all_of_the_super_category(dump, maps):
    limited = limit_to_objects(dump, object_maps=maps)
    assert lengths(limited.dump) == [17, 10, 15]
    assert limited.unlimited == ['1:wheel']


def test_wrong_maps_are_named(dump, maps):
    Image.new('RGB', (60, 1)).save(maps / 'a.png')
    with pytest.raises(InputError, match=r'a\.png is stored as RGB with 1 x 60 pixels'):
        limit_to_objects(dump, object_maps=maps)
    Image.new('L', (60, 2)).save(maps / 'a.png')
    with pytest.raises(InputError, match=r'a\.png is stored as L with 2 x 60 pixels .* and 1 x 60'):
        limit_to_objects(dump, object_maps=maps)
    Image.new('L', (60, 1), 200).save(maps / 'a.png')
    with pytest.raises(InputError, match=r'a\.png has the label 200; object maps have 0 to 158'):
        limit_to_objects(dump, object_maps=maps)
    (maps / 'a.png').write_bytes(b'')
    with pytest.raises(InputError, match=r'a\.png is not an image'):
        limit_to_objects(dump, object_maps=maps)
    (maps / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'there is no object map .*a\.png; give the folder'):
        limit_to_objects(dump, object_maps=maps)
    twice = PredictionDump({}, [*dump.images, ImagePredictions(2, 'other/a.jpg', SIZE, [])])
    with pytest.raises(InputError, match=r'images/val/a\.jpg and other/a\.jpg have one file name'):
        limit_to_objects(twice, object_maps=maps)
    with pytest.raises(InputError, match='both give the objects'):
        limit_to_objects(dump, object_maps=maps, object_ann='x.json')


def test_the_tool_prints_both_rows(run_tool, dump, tmp_path):
    dump.write(tmp_path / 'dump.json')
    printed = run_tool('evaluate', tmp_path / 'dump.json', '--object', 'given', '--json', tmp_path / 'scores.json')
    table = printed[printed.index('object: union of the annotated parts'):].splitlines()
    assert [line.split('  ')[1].strip() for line in table[2:4]] == ['as predicted (Pred-All)',
                                                                   'object given (Oracle-Obj)']
    assert '83.33' in table[3]
    assert json.loads((tmp_path / 'scores.json').read_text())['object']['object given (Oracle-Obj)'][
        'mIoU'] == pytest.approx(2.5 / 3)
