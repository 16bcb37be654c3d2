"""Frozen split files, and datasets with a protocol."""
import json
from collections import Counter
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from mmengine.registry import DefaultScope

from mmpartref.datasets import PartImageNetReferringDataset, PartReferDataset
from mmpartref.datasets.partimagenet.partimagenet_names import PARTS, canonical_name, load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import OOD_CLASSES
from mmpartref.datasets.protocols import SPLIT_FILES, load_protocol, read_split
from mmpartref.datasets.protocols.generate import GENERATED, as_text, is_balanced, quotas
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.registry import DATASETS

CONFIGS = Path(__file__).parents[3] / 'configs'
CATEGORIES = {canonical_name(owner, part) for owner, parts in PARTS.items() for part in parts}
Write = Callable[[dict], str]


def frozen(name: str) -> str:
    return resources.files('mmpartref.datasets.protocols').joinpath(f'{name}.json').read_text(encoding='utf-8')


# The frozen files.


@pytest.mark.parametrize('name', GENERATED)
def test_the_frozen_file_equals_the_draw_of_its_seed(name: str) -> None:
    assert as_text(GENERATED[name]()) == frozen(name)


@pytest.mark.parametrize('name', SPLIT_FILES)
def test_the_name_in_a_file_is_its_file_name(name: str) -> None:
    assert json.loads(frozen(name))['name'] == name


def test_25_and_15_of_the_40_categories() -> None:
    split = read_split('partimagenet_parts_25_15')
    assert (len(split.seen), len(split.unseen)) == (25, 15)
    assert split.seen | split.unseen == CATEGORIES
    assert not split.seen & split.unseen
    assert (split.unit, split.title) == ('category', 'partimagenet_parts_25_15')


def test_unseen_parts_are_new_combinations_of_seen_words() -> None:
    split = read_split('partimagenet_parts_25_15')
    words, owners = ({name[index] for name in split.seen} for index in (1, 0))
    assert owners == {name.super_category for name in split.unseen} == {name.super_category for name in CATEGORIES}
    assert {name.part for name in split.unseen} == {'head', 'body', 'foot', 'tail', 'wing', 'tire'} <= words
    assert Counter(name.super_category for name in split.unseen) == quotas(0)
    assert max(quotas(0).values()) == 2


def test_a_draw_with_a_word_only_seen_or_only_unseen_is_not_balanced() -> None:
    unseen = sorted(read_split('partimagenet_parts_25_15').unseen)
    assert is_balanced(unseen)
    assert not is_balanced([*unseen, canonical_name('Bird', 'Wing')])
    assert not is_balanced([name for name in unseen if name.part != 'tire'])
    assert not is_balanced([*unseen, canonical_name('Snake', 'Head')])


def test_each_of_eleven_folds_has_one_unseen_super_category() -> None:
    folds = list(json.loads(frozen('leave_one_super_category_out'))['folds'])
    assert folds == [owner.lower() for owner in PARTS]
    for fold in folds:
        split = read_split('leave_one_super_category_out', fold)
        assert {name.super_category for name in split.unseen} == {fold}
        assert split.seen == CATEGORIES - split.unseen
        assert split.title == f'leave_one_super_category_out, fold {fold}'


def test_25_and_15_of_the_158_classes_in_every_super_category() -> None:
    split = read_split('partimagenet_classes_25_15')
    synsets = load_synsets()
    assert (len(split.seen), len(split.unseen), len(split.seen & split.unseen)) == (25, 15, 0)
    assert {synsets[wnid].super_category for wnid in split.seen} == set(PARTS)
    assert {synsets[wnid].super_category for wnid in split.unseen} == set(PARTS)
    assert synsets['n02134084'].class_name == 'ice bear'
    assert 'n02134084' in split.unseen


# Users' files, and damaged ones.


def car_split(**changes: Any) -> dict:
    return {'name': 'cars', 'unit': 'category', 'folds': {'a': {
        'seen': [['Car', 'wheel'], ['Bird', 'head'], ['boat', 'sail']], 'unseen': [['car', 'Hood']]}}, **changes}


@pytest.fixture
def split_file(tmp_path: Path) -> Callable[..., str]:
    def write(**changes: Any) -> str:
        path = tmp_path / 'split.json'
        path.write_text(json.dumps(car_split(**changes)))
        return str(path)
    return write


def test_a_users_split_file(split_file: Callable[..., str]) -> None:
    split = read_split(split_file())
    assert (split.name, split.fold) == ('cars', '')
    assert split.unseen == {('car', 'hood')}
    assert split.side_of_entry(canonical_name('Car', 'Wheel')) == 'seen'
    assert split.side_of_entry(canonical_name('car', 'door')) is None


@pytest.mark.parametrize(('changes', 'message'), [
    ({'unit': 'colour'}, "its 'unit' is not one"), ({'folds': {}}, "has no 'folds'"), ({'folds': []}, "has no 'folds'"),
    ({'folds': {'a': {'seen': [['car', 'hood']]}}}, "no entries under 'unseen'"),
    ({'folds': {'a': {'seen': [], 'unseen': [['car', 'hood']]}}}, "no entries under 'seen'"),
    ({'folds': {'a': 5}}, "no entries under 'seen'"),
    ({'folds': {'a': {'seen': ['car hood'], 'unseen': [['car', 'hood']]}}}, "'car hood' is not a pair"),
    ({'folds': {'a': {'seen': [['car', 'tier']], 'unseen': [['Car', 'Tire']]}}}, "has 'car tire' twice"),
    ({'unit': 'class', 'folds': {'a': {'seen': ['teapot'], 'unseen': ['jeep']}}}, "'teapot' is not the name of one"),
])
def test_a_damaged_split_is_rejected(changes: dict, message: str, split_file: Callable[..., str]) -> None:
    with pytest.raises(ValueError, match=message):
        read_split(split_file(**changes))


@pytest.mark.parametrize(('name', 'fold', 'message'), [
    ('parts_25_15', None, 'there is no protocol'), ('leave_one_super_category_out', None, 'has no fold None'),
    ('leave_one_super_category_out', 'fruit', "no fold 'fruit'; choose one of quadruped"),
    ('partimagenet_ood', 'a', 'has no folds'), ('partimagenet_ood', None, 'needs the train json'),
])
def test_unknown_names_and_folds_are_rejected(name: str, fold: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_protocol(name, fold)


def test_a_missing_or_cut_off_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'split file .* does not exist'):
        read_split(str(tmp_path / 'none.json'))
    (tmp_path / 'cut.json').write_text('{"name": ')
    with pytest.raises(ValueError, match='is not a complete json'):
        read_split(str(tmp_path / 'cut.json'))


# Datasets with a protocol. The fixture has a car with two wheels and a hood, and a bird's head.


def texts(dataset: PartReferDataset) -> list[str]:
    return [ref['expressions'][0] for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']]


@pytest.mark.parametrize(('role', 'left', 'items', 'annotations', 'images'), [
    ('seen', ['car wheel', 'bird head'], 2, 1, 0), ('unseen', ['car hood'], 1, 3, 1),
    ('all', ['car wheel', 'car hood', 'bird head'], 2, 0, 0)])
def test_a_role_drops_and_counts_the_other_side(
        role: str, left: list, items: int, annotations: int, images: int, coco: dict, write: Write,
        split_file: Callable[..., str]) -> None:
    dataset = PartReferDataset(ann_file=write(coco), entries={'protocol': {'name': split_file(), 'role': role}})
    assert texts(dataset) == left
    counts = dataset.statistics
    assert (len(dataset), counts.items, counts.expressions) == (items, items, len(left))
    assert (counts.protocol_dropped, counts.protocol_images_dropped) == (annotations, images)
    assert counts.annotations_in_json == counts.parts_used + counts.protocol_dropped == 4
    assert counts.images_with_parts == 2 - images
    assert f'protocol     cars, role {role}: {annotations} annotations dropped, {images} images' in counts.summary()
    assert '1 of its categories are not in the json (boat sail)' in counts.summary()
    assert dataset.metainfo['protocol'] == {'name': 'cars', 'fold': '', 'role': role}


def test_an_image_without_parts_is_not_hidden(coco: dict, write: Write, split_file: Callable[..., str]) -> None:
    coco['images'].append({**coco['images'][0], 'id': 3, 'file_name': 'image3.png'})
    counts = PartReferDataset(
        ann_file=write(coco), entries={'protocol': {'name': split_file(), 'role': 'unseen'}}).statistics
    assert (counts.images_in_json, counts.images_with_parts, counts.protocol_images_dropped) == (3, 1, 1)


def test_without_a_protocol_nothing_mentions_one(coco: dict, write: Write) -> None:
    dataset = PartReferDataset(ann_file=write(coco))
    assert 'protocol' not in dataset.metainfo
    assert 'protocol' not in dataset.statistics.summary()


def test_hidden_parts_are_never_absent_parts(coco: dict, write: Write, split_file: Callable[..., str]) -> None:
    coco['categories'][2]['name'] = 'Bird Wheel'
    sides = {'seen': [['bird', 'wheel'], ['car', 'hood']], 'unseen': [['car', 'wheel']]}
    protocol = {'name': split_file(folds={'a': sides}), 'role': 'seen'}
    absent = {'number': 4, 'kinds': ['unannotated', 'other', 'impossible']}
    dataset = PartReferDataset(ann_file=write(coco), entries={'protocol': protocol, 'absent': absent})
    assert sorted(texts(dataset)) == ['bird hood', 'bird wheel', 'bird wheel', 'car hood', 'car hood']
    # "wheel" alone would also refer to the hidden one.
    dataset = PartReferDataset(ann_file=write(coco), entries={
        'protocol': protocol, 'absent': absent, 'expressions': {'templates': ['{part}']}})
    assert texts(dataset) == ['hood', 'wheel', 'hood']


def test_a_category_on_neither_side_is_rejected(coco: dict, write: Write, split_file: Callable[..., str]) -> None:
    coco['categories'] += [{'id': 20, 'name': 'Car Door', 'supercategory': 'Car'}]
    with pytest.raises(ValueError, match=r'parts\.json: 1 categories are neither seen nor unseen.*car door'):
        len(PartReferDataset(ann_file=write(coco), entries={'protocol': {'name': split_file(), 'role': 'all'}}))


@pytest.mark.parametrize(('seen', 'side'), [([['boat', 'sail']], 'seen'), (None, 'unseen')])
def test_a_side_that_the_json_lacks_is_rejected(seen: list | None, side: str, coco: dict, write: Write,
                                               split_file: Callable[..., str]) -> None:
    sides = {'seen': [['car', 'wheel'], ['car', 'hood'], ['bird', 'head']], 'unseen': [['boat', 'sail']]}
    if seen:
        sides = {'seen': sides['unseen'], 'unseen': sides['seen']}
    path = split_file(folds={'a': sides})
    with pytest.raises(ValueError, match=f'has none of the 1 {side} categories'):
        len(PartReferDataset(ann_file=write(coco), entries={'protocol': {'name': path, 'role': 'seen'}}))


@pytest.mark.parametrize(('protocol', 'message'), [
    ({'name': 'partimagenet_parts_25_15'}, "lacks 'role'"), ({'role': 'seen'}, "lacks 'name'"),
    ({'name': 'partimagenet_parts_25_15', 'role': 'both'}, "role='both' is unknown"),
    ({'name': 'partimagenet_parts_25_15', 'role': 'all', 'folds': 1}, "unexpected keyword argument 'folds'"),
    ({'name': 'partimagenet_ood', 'role': 'seen'}, "lacks 'ann_files'"),
    ({'name': 'partimagenet_ood', 'ann_files': {'train': 'a.json'}}, 'name the json of train, val, test'),
])
def test_bad_arguments_are_rejected_at_construction(protocol: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        PartReferDataset(ann_file='none.json', entries={'protocol': protocol}, lazy_init=True)


@pytest.mark.parametrize('kind', [PartReferDataset, PartImageNetReferringDataset])
def test_names_match_by_alias_and_not_by_id(kind: type[PartReferDataset], write: Write) -> None:
    names = [(owner, part) for owner, parts in PARTS.items() for part in parts]
    path = write({
        'images': [{'id': 1, 'file_name': 'n02085782_1.JPEG', 'height': 8, 'width': 8}],
        'annotations': [{'id': number, 'image_id': 1, 'category_id': 900 - number,
                         'segmentation': [[1, 1, 5, 1, 5, 5, 1, 5]]} for number in range(40)],
        'categories': [{'id': 900 - number, 'name': f'{owner} {part}', 'supercategory': owner}
                       for number, (owner, part) in enumerate(names)]})
    split = read_split('partimagenet_parts_25_15')
    for role in ('seen', 'unseen'):
        dataset = kind(ann_file=path, entries={'protocol': {'name': split.name, 'role': role}})
        found = {canonical_name(ref['super_category'], ref['part']) for ref in dataset.get_data_info(0)['refs']}
        assert found == {'seen': split.seen, 'unseen': split.unseen}[role]
        assert len(dataset.get_data_info(0)['refs']) == len(found)


# Protocols of classes.


def class_json(wnids: list[str], file_name: str = '{wnid}_{number}.JPEG') -> dict:
    """One image of a bird's head per class."""
    return {
        'images': [{'id': number, 'file_name': file_name.format(wnid=wnid, number=number), 'height': 8, 'width': 8}
                   for number, wnid in enumerate(wnids)],
        'annotations': [{'id': number, 'image_id': number, 'category_id': 1, 'segmentation': [[1, 1, 5, 1, 5, 5, 1, 5]]}
                        for number in range(len(wnids))],
        'categories': [{'id': 1, 'name': 'Bird Head', 'supercategory': 'Bird'}],
    }


def test_a_protocol_of_classes_drops_images(write: Write) -> None:
    split = read_split('partimagenet_classes_25_15')
    wnids = list(load_synsets())
    path = write(class_json(wnids, '{wnid}\\{wnid}_{number}.JPEG'))
    for role, number in (('seen', 25), ('unseen', 15), ('all', 40)):
        dataset = PartImageNetReferringDataset(ann_file=path, entries={'protocol': {'name': split.name, 'role': role}})
        shown = {wnids[dataset.get_data_info(index)['img_id']] for index in range(len(dataset))}
        assert shown == {'seen': split.seen, 'unseen': split.unseen, 'all': split.seen | split.unseen}[role]
        counts = dataset.statistics
        assert (counts.protocol_dropped, counts.protocol_images_dropped) == (158 - number, 158 - number)


@pytest.fixture
def ood_tree(tmp_path: Path) -> Callable[..., Callable[[str], PartImageNetReferringDataset]]:
    """Write three json files of these classes; returns a function that loads a split of them."""
    def write(file_name: str = '{wnid}_{number}.JPEG', **splits: list[str]) -> Callable:
        for split, wnids in splits.items():
            (tmp_path / f'{split}.json').write_text(json.dumps(class_json(wnids, file_name)))

        def load(split: str) -> PartImageNetReferringDataset:
            dataset = PartImageNetReferringDataset(
                data_root=str(tmp_path), ann_file=f'{split}.json',
                entries={'protocol': {
                    'name': 'partimagenet_ood', 'ann_files': {each: f'{each}.json' for each in OOD_CLASSES}}})
            dataset.full_init()
            return dataset
        return load
    return write


WNIDS = list(load_synsets())
OOD_SPLIT = {'train': WNIDS[:109], 'val': WNIDS[109:128], 'test': WNIDS[128:]}


@pytest.mark.parametrize(('split', 'message'), [
    ('train', 'partimagenet_ood: train, 109 classes, none of them in val (19) and test (30)'),
    ('val', 'partimagenet_ood: val, 19 classes, none of them in train (109) and test (30)')])
def test_the_ood_split_is_checked_against_its_other_files(split: str, message: str, ood_tree: Callable) -> None:
    dataset = ood_tree(**OOD_SPLIT)(split)
    assert message in dataset.statistics.summary()
    assert dataset.metainfo['protocol'] == {'name': 'partimagenet_ood', 'fold': '', 'role': split}
    assert len(dataset) == len(OOD_SPLIT[split])


def test_the_ood_config_loads_all_three(tmp_path: Path) -> None:
    for split, wnids in OOD_SPLIT.items():
        path = tmp_path / 'annotations' / split / f'{split}.json'
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(class_json(wnids)))
    cfg = load_config(CONFIGS / 'protocols/cris_r50_ood_partimagenet.py', data_root=str(tmp_path))
    for split, wnids in OOD_SPLIT.items():
        with DefaultScope.overwrite_default_scope('mmpartref'):
            assert len(DATASETS.build(cfg[f'{split}_dataloader'].dataset)) == len(wnids)


def test_super_categories_without_a_class_in_train_are_listed(ood_tree: Callable) -> None:
    synsets = load_synsets()
    boats = [wnid for wnid in WNIDS if synsets[wnid].super_category == 'Boat']
    others = [wnid for wnid in WNIDS if wnid not in boats]
    load = ood_tree(train=others[:109], val=others[109:128], test=[*others[128:], *boats])
    assert 'super-categories without a class in train' in load('test').statistics.summary()
    assert 'Boat' in load('test').statistics.summary().split('without a class in train: ')[1].splitlines()[0]
    assert 'without a class in train' not in load('train').statistics.summary()


@pytest.mark.parametrize(('changes', 'message'), [
    ({'train': WNIDS}, r"train\.json is of PartImageNet's Seg split: it has all 158 classes"),
    ({'val': WNIDS}, r"val\.json is of PartImageNet's Seg split"),
    ({'test': WNIDS[129:]}, r"test\.json has 29 classes, the OOD split's test json has 30"),
    ({'val': WNIDS[108:127]}, r'train\.json and .*val\.json share 1 classes'),
    ({'val': WNIDS[110:129]}, r'val\.json and .*test\.json share 1 classes'),
    ({'file_name': 'holiday_{number}.JPEG'}, 'image holiday_.* does not begin with one of'),
])
def test_other_splits_than_the_ood_split_are_rejected(changes: dict, message: str, ood_tree: Callable) -> None:
    with pytest.raises(ValueError, match=message):
        ood_tree(**{**OOD_SPLIT, **changes})('train')


def test_a_json_that_is_not_among_the_three_is_rejected(ood_tree: Callable) -> None:
    load = ood_tree(**OOD_SPLIT, other=WNIDS[:109])
    with pytest.raises(ValueError, match='is not one of the ann_files'):
        load('other')


def test_a_missing_or_damaged_neighbour_is_rejected(ood_tree: Callable, tmp_path: Path) -> None:
    load = ood_tree(train=OOD_SPLIT['train'], val=OOD_SPLIT['val'])
    with pytest.raises(FileNotFoundError, match=r'test\.json does not exist'):
        load('train')
    (tmp_path / 'test.json').write_text('{"images": [{"id": 1}], "annotations": [], "categories": []}')
    with pytest.raises(ValueError, match=r"images\[0\]: 'file_name' is missing"):
        load('train')


def test_the_classes_of_the_train_json_are_seen(ood_tree: Callable, tmp_path: Path) -> None:
    ood_tree(**OOD_SPLIT)
    protocol = load_protocol('partimagenet_ood', train_json=str(tmp_path / 'train.json'))
    assert protocol.side_of('bird', 'head', f'images/{WNIDS[108]}_1.JPEG') == 'seen'
    assert protocol.side_of('bird', 'head', f'images\\{WNIDS[109]}_1.JPEG') == 'unseen'
    with pytest.raises(ValueError, match='has 19 classes'):
        load_protocol('partimagenet_ood', train_json=str(tmp_path / 'val.json'))
    with pytest.raises(ValueError, match='needs no train json'):
        load_protocol('partimagenet_parts_25_15', train_json=str(tmp_path / 'train.json'))
