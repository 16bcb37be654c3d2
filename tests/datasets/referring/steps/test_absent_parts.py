import copy
import json
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, DefaultSampler
from torch.utils.data import DataLoader

from mmpartref.datasets import ExpressionBatchSampler, PartImageNetReferringDataset, PartReferDataset
from mmpartref.datasets.coco.records import Image
from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, PARTS, UNLISTED_PARTS
from mmpartref.datasets.referring.steps.absent_parts import ABSENT_KINDS, NOISY_KINDS, AbsentParts
from mmpartref.engine import DatasetEpochHook
from mmpartref.errors import MMPartRefError

SNAKE, RINGNECK, DOG, CAR, BOTTLE = 'n01728572', 'n01728920', 'n02085782', 'n02814533', 'n02823428'
# Which parts each image shows; '!' marks a crowd annotation, which is dropped.
IMAGES = [(SNAKE, ['Snake Head']), (RINGNECK, ['Snake Head', 'Snake Body']),
          (DOG, ['Quadruped Head', 'Quadruped Foot']), (DOG, ['Quadruped Head', '!Quadruped Tail']),
          (DOG, ['Quadruped Head', 'Quadruped Tail', 'Car Tier']), (CAR, ['Car Body', 'Car Tier']),
          (CAR, ['Quadruped Body']), (BOTTLE, ['Bottle Mouth', 'Bottle Body']),
          (BOTTLE, ['Bottle Body', '!Snake Head'])]
ALL = {'number': 3, 'kinds': ABSENT_KINDS}


def document() -> dict[str, Any]:
    annotations = []
    for img_id, (_, parts) in enumerate(IMAGES, 1):
        for name in parts:
            annotations.append({
                'id': len(annotations) + 1, 'image_id': img_id, 'category_id': CATEGORY_NAMES.index(name.strip('!')),
                'iscrowd': int(name.startswith('!')), 'segmentation': [[1, 1, 9, 1, 9, 9, 1, 9]]
            })
    return {
        'images': [{'id': number, 'file_name': f'{wnid}_{number}.JPEG', 'height': 20, 'width': 30}
                   for number, (wnid, _) in enumerate(IMAGES, 1)],
        'annotations': annotations,
        'categories': [{'id': number, 'name': name} for number, name in enumerate(CATEGORY_NAMES)],
    }


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., PartImageNetReferringDataset]:
    path = tmp_path / 'parts.json'
    path.write_text(json.dumps(document()), encoding='utf-8')

    def load_with(absent: dict | None = ALL, *, templates: list | None = None,
                  **settings: Any) -> PartImageNetReferringDataset:
        return PartImageNetReferringDataset(ann_file=str(path), **settings, entries={
            'absent': absent, 'expressions': {'templates': templates} if templates else {}})
    return load_with


def absent_of(dataset: PartReferDataset, index: int) -> list[dict]:
    return [ref for ref in dataset.get_data_info(index)['refs'] if 'absent' in ref]


def all_absent(dataset: PartReferDataset) -> list[dict]:
    return [ref for index in range(len(dataset)) for ref in absent_of(dataset, index)]


def names(refs: list[dict]) -> set[tuple[str, str]]:
    return {(ref['super_category'], ref['part']) for ref in refs}


def spoken(name: str) -> tuple[str, str]:
    owner = next(owner for owner in PARTS if name.startswith(owner))
    return owner.lower(), name[len(owner) + 1:].lower().replace('tier', 'tire')


CATEGORIES = {spoken(name) for name in CATEGORY_NAMES}
SHOWN = {name for _, parts in IMAGES for name in map(spoken, (part for part in parts if part[0] != '!'))}
OWNERS = [{'snake'}, {'snake'}, {'quadruped'}, {'quadruped'}, {'quadruped', 'car'}, {'car'}, {'quadruped', 'car'},
          {'bottle'}, {'bottle', 'snake'}]


def expected(kind: str, index: int) -> set[tuple[str, str]]:
    """From the json and the table of facts, without the sampler."""
    if kind == 'impossible':
        unlisted = {(owner.lower(), part) for owner, parts in UNLISTED_PARTS.items() for part in parts}
        every = {(owner, part) for owner in OWNERS[index] for _, part in SHOWN}
        return every - CATEGORIES - unlisted
    if kind == 'other':
        return {name for name in SHOWN if name[0] not in OWNERS[index]}
    there = {spoken(part.strip('!')) for part in IMAGES[index][1]}
    return {name for name in SHOWN if name[0] in OWNERS[index]} - there


@pytest.mark.parametrize('kind', ABSENT_KINDS)
def test_each_kind_draws_its_candidates_and_eventually_all_of_them(load, kind) -> None:
    dataset = load({'number': 1, 'kinds': [kind]})
    drawn: list[set] = [set() for _ in IMAGES]
    for epoch in range(150):
        dataset.set_epoch(epoch)
        for index, found in enumerate(drawn):
            refs = absent_of(dataset, index)
            assert {ref['absent'] for ref in refs} <= {kind}
            found |= names(refs)
    assert drawn == [expected(kind, index) for index in range(len(IMAGES))]
    assert all(drawn) == (kind != 'unannotated')


def test_the_cases_a_reader_would_try_first(load) -> None:
    impossible = load({'number': 40, 'kinds': ['impossible']})
    assert ('snake', 'foot') in names(absent_of(impossible, 0))
    # Snakes have tails and mouths, dogs mouths, cars engines; no category contains that.
    assert not names(all_absent(impossible)) & {('snake', 'tail'), ('snake', 'mouth'), ('quadruped', 'mouth'),
                                                ('car', 'engine'), ('snake', 'head')}
    other = load({'number': 40, 'kinds': ['other']})
    # An image of a car shows one, annotated or not; a crowd of snakes has no mask, but shows snakes.
    assert ('car', 'body') not in names(absent_of(other, 6))
    assert ('snake', 'body') not in names(absent_of(other, 8))
    assert ('snake', 'body') in names(absent_of(other, 7))
    unannotated = load({'number': 40, 'kinds': ['unannotated']})
    assert ('quadruped', 'tail') not in names(absent_of(unannotated, 3))
    assert ('quadruped', 'tail') in names(absent_of(unannotated, 2))
    assert ('snake', 'body') in names(absent_of(unannotated, 0))
    assert absent_of(unannotated, 1) == []


def test_a_ref_is_marked_as_absent(load) -> None:
    refs = {ref['absent']: ref for ref in absent_of(load(), 0)}
    assert set(refs) == set(ABSENT_KINDS)
    unannotated = refs['unannotated']
    assert unannotated == {
        'ref_id': '1:absent:unannotated:snake body', 'category_id': CATEGORY_NAMES.index('Snake Body'), 'part': 'body',
        'super_category': 'snake', 'class_name': 'thunder snake', 'expressions': ['snake body'], 'ann_ids': [],
        'rles': [], 'absent': 'unannotated'}
    assert refs['impossible']['category_id'] is None
    assert refs['other']['category_id'] == CATEGORY_NAMES.index(
        next(name for name in CATEGORY_NAMES if spoken(name) == (refs['other']['super_category'],
                                                                 refs['other']['part'])))


def test_ids_are_unique_and_the_other_refs_as_without(load) -> None:
    with_absent, without = load({'number': 6, 'kinds': ABSENT_KINDS}), load(None)
    for index in range(len(IMAGES)):
        entry, plain = with_absent.get_data_info(index), without.get_data_info(index)
        assert [ref for ref in entry['refs'] if 'absent' not in ref] == plain['refs']
        assert entry['refs'][:len(plain['refs'])] == plain['refs']
        assert entry.keys() == plain.keys()
    ids = [ref['ref_id'] for index in range(len(IMAGES)) for ref in with_absent.get_data_info(index)['refs']]
    assert len(set(ids)) == len(ids) > 50
    assert with_absent.get_cat_ids(0) == without.get_cat_ids(0)


def test_draws_repeat_and_differ_by_seed_and_epoch(load) -> None:
    dataset = load()
    first = all_absent(dataset)
    assert first == all_absent(dataset) == all_absent(load()) == all_absent(load(serialize_data=False))
    assert first != all_absent(load({**ALL, 'seed': 1}))
    dataset.set_epoch(1)
    assert first != all_absent(dataset)
    dataset.set_epoch(0)
    assert first == all_absent(dataset)


def test_a_draw_is_the_same_on_every_machine(load) -> None:
    """Pinned: neither Python's nor numpy's random numbers decide."""
    assert [ref['ref_id'] for ref in absent_of(load(), 2)] == [
        '3:absent:impossible:quadruped tire', '3:absent:other:car tire', '3:absent:unannotated:quadruped tail']


def test_order_subset_and_copies_do_not_change_a_draw(load) -> None:
    dataset = load()
    expected_refs = [absent_of(dataset, index) for index in range(len(IMAGES))]
    subset = dataset.get_subset([5, 2])
    assert [absent_of(subset, index) for index in range(2)] == [expected_refs[5], expected_refs[2]]
    subset.set_epoch(3)
    assert absent_of(subset, 0) != expected_refs[5]
    assert absent_of(dataset, 5) == expected_refs[5]
    for twin in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert twin._draws._epoch.is_shared()
        assert all_absent(twin) == all_absent(dataset)
    assert absent_of(load(indices=[7, 4]), 1) == expected_refs[4]


@pytest.mark.parametrize('epoch', [0, 5])
def test_one_item_per_expression_has_the_same_expressions(load, epoch) -> None:
    images, single = load(), load(group_by='expression')
    for dataset in (images, single):
        dataset.set_epoch(epoch)
    assert all_absent(single) == [ref for index in range(len(images)) for ref in absent_of(images, index)]
    assert single.num_expressions().tolist() == [1] * len(single)
    assert [len(single.get_data_info(index)['refs']) for index in range(len(single))] == [1] * len(single)
    assert len(single) == images.num_expressions().sum() == sum(
        len(images.get_data_info(index)['refs']) for index in range(len(images)))


@pytest.mark.parametrize('number', [0.5, 1, 2.25, 50])
@pytest.mark.parametrize('templates', [['{super_category} {part}'], ['{part}', 'the {part} of the {class_name}']])
def test_counts_hold_in_every_epoch(load, number, templates) -> None:
    dataset = load({'number': number, 'kinds': ABSENT_KINDS}, templates=templates)
    for epoch in range(4):
        dataset.set_epoch(epoch)
        counts = [len(dataset.get_data_info(index)['refs']) for index in range(len(dataset))]
        assert dataset.num_expressions().tolist() == counts
    statistics = dataset.statistics
    assert statistics.expressions == 15
    assert statistics.absent_expressions == sum(counts) - 15 > 0
    assert f'{statistics.absent_expressions} more expressions, of absent parts' in statistics.summary()


def test_a_fraction_is_a_share_of_the_images(load) -> None:
    dataset = load()
    _ = dataset.statistics
    sampler = dataset.steps['absent']
    for number, low, high in ((0.25, 200, 300), (1.75, 1700, 1800)):
        sampler.number = number
        plans = [sampler.plan(Image(img_id, 'a.png', 20, 30, dropped=frozenset([0])), []) for img_id in range(1000)]
        assert low < sum(len(plan['slots']) for plan in plans if plan) < high


def test_kinds_take_turns(load) -> None:
    dataset = load({'number': 1, 'kinds': ['impossible', 'other']})
    seen = Counter()
    for epoch in range(100):
        dataset.set_epoch(epoch)
        seen.update(ref['absent'] for ref in all_absent(dataset))
    assert seen.total() == 900
    assert 390 < seen['other'] < 510
    both = load({'number': 2, 'kinds': ['impossible', 'other']})
    assert all({ref['absent'] for ref in absent_of(both, index)} == {'impossible', 'other'}
               for index in range(len(IMAGES)))


def test_noisy_kinds_are_off_by_default(load) -> None:
    assert {ref['absent'] for ref in all_absent(load({'number': 60}))} == set(ABSENT_KINDS) - set(NOISY_KINDS)


def test_no_two_expressions_of_an_image_have_the_same_words(load) -> None:
    """With the part's name alone, "head" is there whenever anything has a head."""
    dataset = load({'number': 60, 'kinds': ABSENT_KINDS}, templates=['{part}'])
    for index in range(len(IMAGES)):
        texts = [ref['expressions'][0] for ref in dataset.get_data_info(index)['refs']]
        assert len(set(texts)) == len(texts)
    # The crowd of tails shows tails as well.
    assert 'tail' not in [ref['expressions'][0] for ref in absent_of(dataset, 3)]


def test_other_objects_have_class_names_too(load) -> None:
    dataset = load({'number': 60, 'kinds': ['other']}, templates=['{part} of the {class_name}'])
    texts = {text for ref in all_absent(dataset) for text in ref['expressions']}
    assert {'head of the ringneck snake', 'mouth of the beer bottle', 'body of the beach wagon'} <= texts
    assert not any(text.endswith('the snake') for text in texts)
    # One class in an image in all epochs; another one in other images.
    drawn = [set() for _ in IMAGES]
    for epoch in range(6):
        dataset.set_epoch(epoch)
        for index, found in enumerate(drawn):
            found |= {ref['class_name'] for ref in absent_of(dataset, index) if ref['super_category'] == 'snake'}
    assert [len(found) for found in drawn] == [0, 0, 1, 1, 1, 1, 1, 1, 0]
    assert set.union(*drawn) == {'thunder snake', 'ringneck snake'}


def test_other_parts_are_drawn_as_often_as_the_json_shows_them(load) -> None:
    dataset = load({'number': 1, 'kinds': ['other']})
    seen = Counter()
    for epoch in range(1500):
        dataset.set_epoch(epoch)
        seen.update((ref['super_category'], ref['part']) for ref in absent_of(dataset, 7))
    # Seen elsewhere: three quadruped heads, two snake heads, two car tires, and the others once.
    weights = {('quadruped', 'head'): 3, ('snake', 'head'): 2, ('car', 'tire'): 2, ('snake', 'body'): 1,
               ('quadruped', 'foot'): 1, ('quadruped', 'body'): 1, ('quadruped', 'tail'): 1, ('car', 'body'): 1}
    assert seen.keys() == weights.keys()
    for name, weight in weights.items():
        assert seen[name] == pytest.approx(1500 * weight / 12, abs=65), name


class Texts:
    """What leaves a pipeline in the tests below."""

    def __call__(self, results: dict) -> list[str]:
        return [ref['ref_id'] for ref in results['refs']]


def test_persistent_workers_learn_of_the_epoch(load) -> None:
    dataset, alone = load(pipeline=[Texts()]), load(pipeline=[Texts()])
    wrapped = ConcatDataset([dataset])
    loader = DataLoader(wrapped, batch_size=2, num_workers=2, persistent_workers=True, collate_fn=list,
                        multiprocessing_context='fork')
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=wrapped))
    seen = []
    for epoch in range(2):
        runner.epoch = epoch
        DatasetEpochHook().before_train_epoch(runner)
        alone.set_epoch(epoch)
        seen.append([refs for batch in loader for refs in batch])
        assert seen[-1] == [alone[index] for index in range(len(alone))]
    assert seen[0] != seen[1]


def test_batches_count_absent_expressions(load) -> None:
    dataset = load({'number': 2, 'kinds': ABSENT_KINDS})
    total = int(dataset.num_expressions().sum())
    sampler = ExpressionBatchSampler(DefaultSampler(dataset, shuffle=False), batch_size=7)
    assert sampler.counts.sum() == total == 33
    assert len(sampler) == 5
    capped = load({'number': 9, 'kinds': ABSENT_KINDS},
                  pipeline=[{'type': 'mmpartref.DrawExpressions', 'max_expressions': 4}])
    assert capped.num_expressions().tolist() == [len(capped[index]['refs']) for index in range(len(capped))]
    assert capped.num_expressions().tolist() == [4] * len(capped)


def test_targets_of_absent_parts_are_empty(load, write_image, tmp_path) -> None:
    for number, (wnid, _) in enumerate(IMAGES, 1):
        write_image(f'images/{wnid}_{number}.JPEG')
    steps = [{'type': f'mmpartref.{name}', **settings} for name, settings in (
        ('LoadImage', {}), ('DrawExpressions', {}), ('LoadReferringMasks', {}), ('Letterbox', {'size': 32}),
        ('PackReferringInputs', {}))]
    settings = {'pipeline': steps, 'data_prefix': {'img': str(tmp_path / 'images')}}
    for group_by in ('image', 'expression'):
        dataset = load(group_by=group_by, **settings)
        filled = []
        for index in range(len(dataset)):
            sample = dataset[index]['data_samples']
            assert len(sample.expressions) == len(sample.gt_masks) == len(sample.refs)
            filled += [bool(mask.any()) == ('absent' not in ref)
                       for mask, ref in zip(sample.gt_masks, sample.refs, strict=True)]
        assert all(filled)
        assert len(filled) == dataset.num_expressions().sum()


def test_a_plain_json_works_and_names_without_an_object_are_not_drawn(coco, write) -> None:
    coco['categories'].append({'id': 10, 'name': 'Sail'})
    coco['annotations'].append({**coco['annotations'][3], 'id': 15, 'category_id': 10})
    path = write(coco)
    dataset = PartReferDataset(ann_file=path, entries={'absent': {'number': 20, 'kinds': ABSENT_KINDS}})
    car, bird = ([(ref['absent'], *ref['expressions']) for ref in absent_of(dataset, index)] for index in (0, 1))
    assert sorted(car) == [('impossible', 'car head'), ('impossible', 'car sail'), ('other', 'bird head')]
    assert sorted(bird) == [('impossible', 'bird hood'), ('impossible', 'bird sail'), ('impossible', 'bird wheel'),
                            ('other', 'car hood'), ('other', 'car wheel')]
    restricted = PartReferDataset(ann_file=path, entries={
        'absent': {'number': 20, 'possible': [['Car', 'Head'], ('bird', 'wheel')]}})
    assert not names(all_absent(restricted)) & {('car', 'head'), ('bird', 'wheel')}


def test_the_table_of_facts_has_known_names_only() -> None:
    parts = {part for _, part in CATEGORIES}
    assert UNLISTED_PARTS.keys() == PARTS.keys()
    for owner, unlisted in UNLISTED_PARTS.items():
        assert set(unlisted) <= parts
        assert not {(owner.lower(), part) for part in unlisted} & CATEGORIES
    assert 'foot' not in UNLISTED_PARTS['Snake']


@pytest.mark.parametrize(('setting', 'message'), [
    ({'number': 0}, 'absent.number=0 should be positive'),
    ({'number': float('nan')}, 'absent.number=nan'),
    ({'kinds': ['missing']}, r"absent.kinds\[0\]='missing' is unknown; choose one of"),
    ({'kinds': 'other'}, "absent.kinds='other' should be a list"),
    ({'kinds': []}, r'absent.kinds=\[\]'),
    ({'possible': ['snake tail']}, 'should be pairs like'),
])
def test_wrong_arguments_are_rejected(load, setting, message) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        load(setting)
    assert isinstance(caught.value, MMPartRefError)


def test_a_misspelt_argument_is_rejected(load) -> None:
    with pytest.raises(TypeError, match='nunber'):
        load({'nunber': 1})
    assert repr(AbsentParts()) == "AbsentParts(number=1, kinds=['impossible', 'other'], seed=0)"


def test_a_dataset_without_absent_parts_ignores_the_epoch(load) -> None:
    dataset = load(None)
    before = [dataset.get_data_info(index) for index in range(len(dataset))]
    dataset.set_epoch(4)
    assert str(before) == str([dataset.get_data_info(index) for index in range(len(dataset))])
    assert not any('absent' in ref for entry in before for ref in entry['refs'])
    assert np.array_equal(dataset.num_expressions(), [len(entry['refs']) for entry in before])
