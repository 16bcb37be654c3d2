import json

import numpy as np
from pycocotools.coco import COCO

from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.formats.labelled_masks import LabelledMask


def test_written_files_load_with_the_same_masks(tmp_path, capsys):
    rng = np.random.default_rng(0)
    masks = [rng.random((20, 30)) > 0.5, rng.random((20, 30)) > 0.9]
    other = np.zeros((40, 10), bool)
    other[5:15, 2:6] = True
    names = ['car body', 'car tire', 'car "side" mirror']
    output = CocoOutput([*names, 'car body'], {'config': 'tiny.py'})
    output.add('folder/a.jpg', (20, 30), [LabelledMask(names[0], masks[0], 0.5, 0),
                                          LabelledMask(names[2], masks[1], 0.75, 2)], empty_masks=1)
    output.add('b.jpg', (40, 10), [LabelledMask('car tire', other, None, 0)])
    assert output.empty_masks == 1
    output.write(tmp_path / 'new' / 'out.json')
    coco = COCO(str(tmp_path / 'new' / 'out.json'))
    capsys.readouterr()
    assert [each['name'] for each in coco.loadCats(coco.getCatIds())] == names
    assert [(each['file_name'], each['width'], each['height']) for each in coco.loadImgs(coco.getImgIds())] == [
        ('folder/a.jpg', 30, 20), ('b.jpg', 10, 40)]
    first, second, third = coco.loadAnns(coco.getAnnIds())
    assert [coco.loadCats(each['category_id'])[0]['name'] for each in (first, second, third)] == [
        'car body', 'car "side" mirror', 'car tire']
    for annotation, mask in ((first, masks[0]), (second, masks[1]), (third, other)):
        assert np.array_equal(coco.annToMask(annotation), mask)
        assert annotation['area'] == mask.sum()
    assert [first['score'], second['score']] == [0.5, 0.75]
    assert 'score' not in third
    assert third['bbox'] == [2, 5, 4, 10]
    assert coco.dataset['info'] == {'config': 'tiny.py', 'empty_masks': 1}
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['out.json']


def test_nothing_found_is_a_json_too(tmp_path):
    CocoOutput(['car body'], {}).write(tmp_path / 'out.json')
    assert json.loads((tmp_path / 'out.json').read_text())['annotations'] == []
