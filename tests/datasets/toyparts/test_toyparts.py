import json
from itertools import combinations

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, SUPER_CATEGORIES, load_synsets
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.datasets.toyparts.toy_scene import annotate, drop_small_instances, to_segmentation

SPLITS = {'train': 11, 'val': 2}


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob('*')) if path.is_file()}


def difference(one, other):
    """Return the largest difference of two images' pixels, and how many pixels differ."""
    first, second = (cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_UNCHANGED) for each in (one, other))
    apart = np.abs(first.astype(int) - second.astype(int))
    return apart.max(), np.count_nonzero(apart.reshape(*apart.shape[:2], -1).max(axis=2))


def assert_same_scenes(one, other):
    """Check that two datasets have the same scenes, up to rounding: they are drawn with floating-point numbers."""
    first, second = files(one), files(other)
    assert list(first) == list(second)
    for name, content in first.items():
        if name.endswith('.JPEG'):
            # A level of rounding, and its error after JPEG; other scenes differ by more than 100.
            assert difference(content, second[name])[0] <= 8, name
        elif name.endswith('.png'):
            # A label map's borders may move by a pixel here and there; other scenes differ in hundreds of pixels.
            assert difference(content, second[name])[1] <= 10, name
        elif '/' in name:
            one_json, other_json = (json.loads(each) for each in (content, second[name]))
            assert one_json['images'] == other_json['images']
            for annotation, same in zip(one_json['annotations'], other_json['annotations'], strict=True):
                assert [annotation[key] for key in ('id', 'image_id', 'category_id')] == [
                    same[key] for key in ('id', 'image_id', 'category_id')]
                assert annotation['area'] == pytest.approx(same['area'], abs=10)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp('toyparts') / 'data'
    return root, make_toyparts(root, splits=SPLITS, workers=1)


@pytest.fixture(scope='module')
def train(made):
    return COCO(str(made[0] / 'annotations/train/train.json'))


def maps(root, split, record):
    stem = record['file_name'].removesuffix('.JPEG')
    return [cv2.imread(str(root / 'annotations' / folder / f'{stem}.png'), cv2.IMREAD_UNCHANGED)
            for folder in (split, f'{split}_whole')]


def test_layout_is_that_of_the_seg_split(made, train):
    root, _ = made
    expected = {'toyparts.json', 'annotations/train/train.json', 'annotations/val/val.json'}
    for split in SPLITS:
        for record in json.loads((root / f'annotations/{split}/{split}.json').read_text())['images']:
            stem = record['file_name'].removesuffix('.JPEG')
            expected |= {f'images/{split}/{stem}.JPEG', f'annotations/{split}/{stem}.png',
                         f'annotations/{split}_whole/{stem}.png'}
    assert set(files(root)) == expected
    assert len(expected) == 3 + 3 * sum(SPLITS.values())
    for record in train.dataset['images']:
        assert cv2.imread(str(root / 'images/train' / record['file_name'])).shape == (192, 256, 3)
        assert (record['height'], record['width']) == (192, 256)


def test_categories_are_the_official_forty_and_all_occur(train):
    assert [(c['id'], c['name']) for c in train.dataset['categories']] == list(enumerate(CATEGORY_NAMES))
    assert {c['supercategory'] for c in train.dataset['categories']} == set(SUPER_CATEGORIES)
    assert {a['category_id'] for a in train.dataset['annotations']} == set(range(40))


def test_annotations_decode_to_the_part_map_without_overlap(made, train):
    for record in train.dataset['images']:
        part_map, _ = maps(made[0], 'train', record)
        painted = np.full_like(part_map, 40)
        for annotation in train.loadAnns(train.getAnnIds(record['id'])):
            mask = train.annToMask(annotation).astype(bool)
            assert (painted[mask] == 40).all(), 'annotations overlap'
            painted[mask] = annotation['category_id']
            assert annotation['area'] == mask.sum()
            assert annotation['area'] >= 12
            assert annotation['bbox'] == list(cv2.boundingRect(mask.astype(np.uint8)))
            assert annotation['iscrowd'] == 0
        np.testing.assert_array_equal(painted, part_map)


def test_polygons_and_rles_both_occur_and_each_foot_is_an_annotation(train):
    kinds = {type(a['segmentation']) for a in train.dataset['annotations']}
    assert kinds == {list, dict}
    foot = CATEGORY_NAMES.index('Quadruped Foot')
    counts = [len(train.getAnnIds(image_id, catIds=[foot])) for image_id in train.getImgIds(catIds=[foot])]
    assert max(counts) == 4


def test_each_scene_has_two_super_categories_and_the_first_names_the_file(made, train):
    synsets = list(load_synsets().values())
    for record in train.dataset['images']:
        part_map, object_map = maps(made[0], 'train', record)
        assert ((part_map == 40) == (object_map == 158)).all()
        classes = set(np.unique(object_map)) - {158}
        assert len({synsets[number].super_category for number in classes}) == len(classes) == 2
        assert record['file_name'].split('_')[0] in {synsets[number].wnid for number in classes}
        for number in classes:
            parts = {CATEGORY_NAMES[part] for part in np.unique(part_map[object_map == number])}
            assert all(name.startswith(f'{synsets[number].super_category} ') for name in parts)


def test_counts_of_the_summary_are_those_of_the_json(made):
    root, summary = made
    assert summary['reused'] is False
    for split, count in SPLITS.items():
        coco = json.loads((root / f'annotations/{split}/{split}.json').read_text())
        stated = summary['splits'][split]
        assert stated['images'] == len(coco['images']) == count
        assert stated['annotations'] == len(coco['annotations']) == sum(stated['categories'].values())
        assert len({a['id'] for a in coco['annotations']}) == len(coco['annotations'])
        for number, name in enumerate(CATEGORY_NAMES):
            assert stated['categories'][name] == sum(a['category_id'] == number for a in coco['annotations'])


def test_same_seed_gives_the_same_scenes_with_any_number_of_processes(tmp_path):
    # 16 scenes are the fewest that two processes draw.
    for name, workers in (('one', 1), ('two', 2)):
        make_toyparts(tmp_path / name, splits={'val': 16}, size=(64, 64), seed=3, workers=workers)
    assert_same_scenes(tmp_path / 'one', tmp_path / 'two')


def test_scenes_do_not_depend_on_the_counts_but_on_seed_and_split(tmp_path):
    size = (64, 64)
    make_toyparts(tmp_path / 'small', splits={'val': 1}, size=size, workers=1)
    make_toyparts(tmp_path / 'large', splits={'train': 1, 'val': 2}, size=size, workers=1)
    make_toyparts(tmp_path / 'other', splits={'val': 1}, size=size, seed=1, workers=1)
    image, = (name for name in files(tmp_path / 'small') if name.endswith('.JPEG'))
    assert difference(files(tmp_path / 'large')[image], files(tmp_path / 'small')[image])[0] <= 8
    images = [content for name in ('large', 'other') for path, content in files(tmp_path / name).items()
              if path.endswith('.JPEG')]
    assert len(images) == 4
    assert min(difference(one, other)[0] for one, other in combinations(images, 2)) > 100


def test_identical_dataset_is_reused_and_any_other_rejected(made, capsys):
    root, summary = made
    before = files(root)
    again = make_toyparts(root, splits=SPLITS)
    assert again == {**summary, 'reused': True}
    assert 'reused' in capsys.readouterr().out
    with pytest.raises(FileExistsError, match='has another ToyParts'):
        make_toyparts(root, splits=SPLITS, seed=1)
    with pytest.raises(FileExistsError, match='has another ToyParts'):
        make_toyparts(root, splits={'train': 11})
    assert files(root) == before


def test_other_or_incomplete_folders_are_rejected(tmp_path):
    arguments = {'splits': {'val': 1}, 'size': (64, 64), 'workers': 1}
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'thesis.txt').write_text('text')
    with pytest.raises(FileExistsError, match='nor a complete ToyParts'):
        make_toyparts(other, **arguments)
    assert list(other.iterdir()) == [other / 'thesis.txt']

    incomplete = tmp_path / 'incomplete'
    make_toyparts(incomplete, **arguments)
    next((incomplete / 'images/val').iterdir()).unlink()
    with pytest.raises(FileExistsError, match='0 files'):
        make_toyparts(incomplete, **arguments)
    (incomplete / 'toyparts.json').write_text('[]')
    with pytest.raises(FileExistsError, match='cannot be read'):
        make_toyparts(incomplete, **arguments)


@pytest.mark.parametrize(('change', 'message'), [
    ({'splits': {'trian': 1}}, 'trian'), ({'splits': {}}, 'none'), ({'splits': {'val': 0}}, 'must be at least 1'),
    ({'size': (32, 192)}, 'at least'), ({'seed': -1}, 'must be at least 0'), ({'workers': 0}, 'at least 1')])
def test_bad_parameters_are_rejected_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        make_toyparts(tmp_path / 'out', **{'splits': {'val': 1}, **change})
    assert not (tmp_path / 'out').exists()


def test_segmentation_is_exact_for_ragged_masks_pieces_and_holes():
    rng = np.random.default_rng(0)
    ragged = (rng.random((24, 31)) > 0.6).astype(np.uint8)
    pieces = np.zeros((24, 31), np.uint8)
    pieces[2:9, 3:8] = pieces[12:20, 20:] = 1
    ring = np.zeros((24, 31), np.uint8)
    ring[4:20, 4:20] = 1
    ring[9:12, 9:12] = 0
    for mask, kind in ((ragged, dict), (pieces, list), (ring, dict)):
        segmentation = to_segmentation(mask)
        assert isinstance(segmentation, kind)
        rle = segmentation if kind is dict else mask_api.merge(mask_api.frPyObjects(segmentation, *mask.shape))
        np.testing.assert_array_equal(mask_api.decode(rle), mask)
    assert len(to_segmentation(pieces)) == 2


def test_instances_under_twelve_pixels_vanish_from_map_and_annotations():
    instance_map = np.zeros((20, 20), np.uint8)
    instance_map[0, :11] = 1
    instance_map[5:8, 5:9] = 2
    assert drop_small_instances(instance_map, 2) == [2]
    annotation, = annotate(instance_map, [7, 9])
    assert (annotation['category_id'], annotation['area'], annotation['bbox']) == (9, 12, [5, 5, 4, 3])
    assert set(np.unique(instance_map)) == {0, 2}
