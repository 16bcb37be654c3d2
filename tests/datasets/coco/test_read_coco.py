from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpartref.datasets.coco.read_coco import read_coco
from mmpartref.datasets.coco.records import plain

Write = Callable[[dict], str]


def test_reads_images_categories_and_annotations(coco: dict, write: Write) -> None:
    parts = read_coco(write(coco))
    assert [(image.img_id, image.file_name, image.height, image.width) for image in parts.images] == [
        (1, 'image1.png', 20, 30), (2, 'image2.png', 20, 30)]
    assert [annotation.ann_id for annotation in parts.images[0].annotations] == [11, 12, 13]
    assert parts.categories[6].name == 'Car Hood'
    counts = parts.statistics
    assert (counts.images_in_json, counts.images_with_parts) == (2, 2)
    assert (counts.annotations_in_json, counts.parts_used) == (4, 4)


def test_everything_dropped_is_counted(coco: dict, write: Write, polygon: Any) -> None:
    extra = {'image_id': 1, 'category_id': 5, 'area': 9, 'iscrowd': 0}
    coco['annotations'] += [
        {**extra, 'id': 21, 'iscrowd': 1, 'segmentation': {'size': [20, 30], 'counts': [600]}},
        {**extra, 'id': 22, 'area': 0, 'segmentation': polygon(0, 0, 3, 3)},
        {**extra, 'id': 23, 'segmentation': [[5, 5, 10, 5, 15, 5]]},
        {**extra, 'id': 24, 'segmentation': {'size': [20, 30], 'counts': [600]}},
        {**extra, 'id': 25, 'segmentation': [[1, 1, 5, 5], [2, 2]]},
        {**extra, 'id': 26, 'segmentation': []},
        {**extra, 'id': 27, 'segmentation': [[1, 1, 5, 5], *polygon(0, 0, 2, 2)]},
    ]
    coco['images'].append({'id': 3, 'file_name': 'empty.png', 'height': 20, 'width': 30})
    parts = read_coco(write(coco))
    counts = parts.statistics
    assert counts.annotations_in_json == 11
    assert counts.parts_used == 6
    assert counts.crowd_dropped == 1
    assert counts.empty_mask_dropped == 2
    assert counts.no_ring_dropped == 2
    assert counts.short_rings_dropped == 3
    assert (counts.images_in_json, counts.images_with_parts, counts.images_without_parts) == (3, 2, 1)
    assert {annotation.ann_id for annotation in parts.images[0].annotations} == {11, 12, 13, 22, 27}
    summary = counts.summary()
    for piece in ('3 in the json', '1 without (dropped)', '11 annotations', '6 used', '1 crowd', '2 with an empty mask',
                  '2 without a ring', '3 polygon rings'):
        assert piece in summary


def test_area_is_optional(coco: dict, write: Write) -> None:
    for annotation in coco['annotations']:
        del annotation['area'], annotation['iscrowd']
    assert read_coco(write(coco)).statistics.parts_used == 4


def test_backslashes_become_slashes(coco: dict, write: Write) -> None:
    coco['images'][0]['file_name'] = 'cars\\front\\image1.png'
    parts = read_coco(write(coco))
    assert parts.images[0].file_name == 'cars/front/image1.png'
    assert parts.statistics.backslash_file_names == 1


DAMAGES: dict[str, tuple[Callable[[dict], object], str]] = {
    'dangling image': (lambda d: d['annotations'][1].update(image_id=99),
                       'annotation 12: its image_id 99 is not among the images; add'),
    'dangling category': (lambda d: d['annotations'][1].update(category_id=99),
                          'annotation 12: its category_id 99 is not among the categories; add'),
    'annotation twice': (lambda d: d['annotations'][1].update(id=11), 'annotation 11: this id occurs twice'),
    'image twice': (lambda d: d['images'][1].update(id=1), 'image 1: this id occurs twice'),
    'category twice': (lambda d: d['categories'][1].update(id=5), 'category 5: this id occurs twice'),
    'no file name': (lambda d: d['images'][1].pop('file_name'), "image 2: the key 'file_name' is missing"),
    'no id': (lambda d: d['annotations'][3].pop('id'), r"annotations\[3\]: the key 'id' is missing"),
    'no segmentation': (lambda d: d['annotations'][3].pop('segmentation'),
                        "annotation 14: the key 'segmentation' is missing"),
    'no height': (lambda d: d['images'][0].pop('height'), "image 1: the key 'height' is missing"),
    'height as text': (lambda d: d['images'][0].update(height='20'), "image 1: 'height' is '20', a str; write int"),
    'height 0': (lambda d: d['images'][0].update(height=0), 'image 1: height 0 and width 30 should be positive'),
    'a size without bounds': (lambda d: d['images'][0].update(height=10**30), 'are more than COCO\'s masks can count'),
    'list as id': (lambda d: d['images'][0].update(id=[1]), r"image \[1\]: 'id' is .* a list; write int or str"),
    'record is a number': (lambda d: d['images'].append(7), r'images\[2\]: it is a int; write an object'),
    'empty name': (lambda d: d['categories'][0].update(name=' '), "category 5: 'name' is ' ', which is blank; fill it"),
    'part is blank': (lambda d: d['categories'][0].update(part=' '), "category 5: 'part' is ' '; write the name"),
    'super-category is a number': (lambda d: d['categories'][0].update(supercategory=3), 'category 5: .*supercategory'),
    'RLE of another size': (lambda d: d['annotations'][0].update(segmentation={'size': [30, 20], 'counts': [600]}),
                            r'annotation 11: in image image1.png: its RLE has size \[30, 20\] .* \[20, 30\]'),
    'no annotations': (lambda d: d.pop('annotations'), "has no list 'annotations'"),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damage_is_one_sentence_with_file_and_record(damage: str, coco: dict, write: Write) -> None:
    inflict, complaint = DAMAGES[damage]
    inflict(coco)
    with pytest.raises(ValueError, match=complaint) as caught:
        read_coco(write(coco))
    assert 'parts.json' in str(caught.value)
    assert '\n' not in str(caught.value)


def test_truncated_json(coco: dict, write: Write) -> None:
    path = Path(write(coco))
    path.write_text(path.read_text()[:200])
    with pytest.raises(ValueError, match=r'parts\.json is not a complete json: .* of 200 bytes; copy or download'):
        read_coco(str(path))


@pytest.mark.parametrize(('content', 'complaint'), [(b'[]', 'holds a list'), (b'', 'not a complete json'),
                                                    (b'{"images": "\xff\xff"}', 'UTF-8')])
def test_files_that_are_no_coco_json(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / 'parts.json'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        read_coco(str(path))


def test_missing_file_folder_and_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json does not exist; set data_root and ann_file'):
        read_coco(str(tmp_path / 'nowhere.json'))
    with pytest.raises(ValueError, match='is a folder'):
        read_coco(str(tmp_path))
    with pytest.raises(ValueError, match='ann_file is not given'):
        read_coco('')


@pytest.mark.parametrize(('segmentation', 'complaint'), [
    ([[5, 5], [15, 5], [15, 15], [5, 15]], 'is a list of points; write each ring as one flat list'),
    ([[5, 5], [15, 5]], 'is a list of points'),
    ([[[5, 5], [15, 5], [15, 15], [5, 15]]], 'is a list of points'),
    ([[[5, 5], [15, 5], [15, 15], [5, 15], [6, 6], [5, 6]]], 'is a list of points'),
    ([['a']], 'contains something that is not a number'), ([[None, 1]], 'contains something that is not a number'),
    ([[1, 2, True, 4]], 'contains something that is not a number'),
    ([{'size': [20, 30], 'counts': [600]}], 'is a list of RLEs; write one RLE'),
])
def test_what_is_not_a_list_of_rings(segmentation: list, complaint: str, coco: dict, write: Write) -> None:
    coco['annotations'][0]['segmentation'] = segmentation
    with pytest.raises(ValueError, match=f'annotation 11: in image .*1.png: .*{complaint}'):
        read_coco(write(coco))


@pytest.mark.parametrize(('owner', 'used'), [
    ('kettle-parts-ab3d', False), ('kettle_parts_2', True), ('lamp v12', False), ('kettle', True), ('coupe 2cv', False),
    ('boeing-747x', False)])
@pytest.mark.parametrize('with_project', [True, False])
def test_the_name_of_a_project_is_not_an_object(owner: str, used: bool, with_project: bool, coco: dict,
                                                write: Write) -> None:
    for category, name in zip(coco['categories'], ('Handle', 'Spout', 'Lid'), strict=True):
        category.update(name=name, supercategory=owner)
    if with_project:
        coco['categories'].append({'id': 0, 'name': owner, 'supercategory': 'none'})
    parts = read_coco(write(coco))
    assert {name.super_category for key, name in parts.names.items() if key} == {plain(owner) if used else ''}
    assert any('looks like a project' in note for note in parts.statistics.notes) != used


def test_a_super_category_of_some_is_an_object(coco: dict, write: Write) -> None:
    coco['categories'][0]['supercategory'] = 'car-ab3d'
    assert read_coco(write(coco)).names[5] == ('car-ab3d', 'car wheel')
