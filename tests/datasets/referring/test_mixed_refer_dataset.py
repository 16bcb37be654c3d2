"""Several jsons as one dataset: metainfo, ids, sources, epochs."""
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import ConfigDict
from mmengine.dataset import ClassBalancedDataset
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmpartref.datasets import MixedReferDataset, MixtureSampler, PartReferDataset
from mmpartref.datasets.referring.samplers.expression_batch_sampler import count_expressions
from mmpartref.datasets.transforms import DrawExpressions
from mmpartref.engine.hooks.dataset_epoch_hook import transforms_with_epoch
from mmpartref.engine.launch.build_runner import set_data_root

Write = Callable[[dict, str], str]


@pytest.fixture
def save(tmp_path: Path) -> Write:
    def save_json(document: dict, name: str) -> str:
        path = tmp_path / f'{name}.json'
        path.write_text(json.dumps(document), encoding='utf-8')
        return str(path)
    return save_json


@pytest.fixture
def jsons(coco: dict, save: Write) -> list[str]:
    """Cars and a bird under ids 5, 6, 9; a car's hood and a fish's fin under 1, 2, with expressions in the json."""
    other = copy.deepcopy(coco)
    other['categories'] = [{'id': 1, 'name': 'Fish Fin', 'supercategory': 'Fish'},
                           {'id': 2, 'name': 'Car Hood', 'supercategory': 'Car'}]
    for annotation in other['annotations']:
        annotation['category_id'] = 2 if annotation['category_id'] == 6 else 1
    other['referring'] = [
        {'id': 'a', 'image_id': 1, 'ann_ids': [11], 'expressions': ['left fin', 'the fin there'], 'source': 'mine'},
        {'id': 'b', 'image_id': 1, 'ann_ids': [12], 'expressions': ['bonnet']}]
    return [save(coco, 'one'), save({**other, 'info': {'source': 'RefCOCO'}}, 'two')]


def mixed(jsons: list[str], *more: dict[str, Any], **common: Any) -> MixedReferDataset:
    more = more or ({}, ) * len(jsons)
    return MixedReferDataset([{'type': 'PartReferDataset', 'ann_file': path, **common, **each}
                              for path, each in zip(jsons, more, strict=True)])


def test_categories_are_united_by_meaning(jsons: list[str]) -> None:
    dataset = mixed(jsons)
    meta = dataset.metainfo
    assert [(each['id'], each['super_category'], each['part']) for each in meta['categories']] == [
        (0, 'car', 'wheel'), (1, 'car', 'hood'), (2, 'bird', 'head'), (3, 'fish', 'fin')]
    assert meta['category_names'] == ['Car Wheel', 'Car Hood', 'Bird Head', 'Fish Fin']
    assert meta['super_categories'] == ['car', 'bird', 'fish']
    assert [each['ann_file'] for each in meta['mixed']] == jsons
    assert [category['id'] for category in meta['mixed'][1]['categories']] == [1, 2]
    assert [dataset.get_cat_ids(index) for index in range(len(dataset))] == [[0, 1], [2], [3, 1]]
    with DefaultScope.overwrite_default_scope('mmpartref'):
        balanced = ClassBalancedDataset({'type': 'MixedReferDataset', 'datasets': [
            {'type': 'PartReferDataset', 'ann_file': path} for path in jsons]}, oversample_thr=0.6)
    # Each item has a category that no other has.
    assert count_expressions(balanced).tolist() == [2, 2, 1, 1, 2, 2]


def test_datasets_of_the_same_categories_have_the_ids_of_the_json(jsons: list[str]) -> None:
    single = PartReferDataset(ann_file=jsons[0]).metainfo
    for files in (jsons[:1], [jsons[0]] * 2):
        meta = mixed(files).metainfo
        assert {key: meta[key] for key in single} == single


def test_expressions_have_their_source(jsons: list[str]) -> None:
    dataset = mixed(jsons, {'source': 'cars'}, {})
    refs = [ref for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']]
    assert [(ref['ref_id'], ref['source']) for ref in refs] == [
        ('1:5', 'cars'), ('1:6', 'cars'), ('2:9', 'cars'), ('a', 'mine'), ('b', 'RefCOCO')]
    assert count_expressions(dataset).tolist() == [2, 1, 2]


def test_images_with_the_same_id_need_a_prefix(jsons: list[str]) -> None:
    with pytest.raises(ValueError, match=r"1 image ids, e.g. 1, .* give each dataset an id_prefix"):
        mixed(jsons, test_mode=True)
    dataset = mixed(jsons, {'id_prefix': ''}, {'id_prefix': 'refcoco/'}, test_mode=True)
    entry = dataset.get_data_info(2)
    assert (entry['img_id'], [ref['ref_id'] for ref in entry['refs']]) == ('refcoco/1', ['refcoco/a', 'refcoco/b'])
    assert dataset.get_data_info(0)['img_id'] == 1


def test_the_epoch_is_set_in_every_dataset(jsons: list[str]) -> None:
    """One samples expressions, the other absent parts."""
    dataset = mixed(jsons, {'entries': {'absent': {'number': 1, 'kinds': ['other']}}},
                    {'pipeline': [DrawExpressions()]})
    transforms = list(transforms_with_epoch(dataset))
    for each in transforms:
        each.set_epoch(7)
    assert int(dataset.datasets[0]._draws._epoch[0]) == 7
    assert int(dataset.datasets[1].pipeline.transforms[0]._epoch[0]) == 7


def test_mmengine_builds_the_mixture_and_reaches_its_epoch(jsons: list[str]) -> None:
    step = [lambda results: {'ids': ' '.join(ref['ref_id'] for ref in results['refs'])}]
    with DefaultScope.overwrite_default_scope('mmpartref'):
        loader = Runner.build_dataloader(
            {'batch_size': 4, 'num_workers': 0,
             'sampler': {'type': 'MixtureSampler', 'weights': [1, 3], 'epoch_length': 8},
             'batch_sampler': {'type': 'ExpressionBatchSampler'},
             'dataset': {'type': 'MixedReferDataset', 'datasets': [
                 {'type': 'PartReferDataset', 'ann_file': path, 'pipeline': step} for path in jsons]}}, seed=3)
        assert MMENGINE_DATASETS.get('mmpartref.MixedReferDataset') is MixedReferDataset
    assert isinstance(loader.batch_sampler.sampler, MixtureSampler)
    assert loader.batch_sampler.sampler.seed == 3
    shown = [ids for batch in loader for ids in batch['ids']]
    assert sorted(shown) == ['1:5 1:6', '2:9', *['a b'] * 6]
    # 1.5 x 2 expressions of the first, 2 x 6 of the second, 4 per batch.
    assert len(loader) == 4


def test_a_mixture_of_protocols_is_rejected(jsons: list[str]) -> None:
    dataset = mixed(jsons)
    dataset.datasets[1]._metainfo['protocol'] = {'name': 'x', 'fold': '', 'role': 'seen'}
    with pytest.raises(ValueError, match=r'one.json has protocol None, .*two.json .*use the same protocol'):
        MixedReferDataset(dataset.datasets)
    dataset.datasets[0]._metainfo['protocol'] = {'name': 'x', 'fold': '', 'role': 'seen'}
    assert MixedReferDataset(dataset.datasets).metainfo['protocol']['name'] == 'x'


def test_bad_datasets_are_rejected(jsons: list[str]) -> None:
    with pytest.raises(ValueError, match='got no dataset'):
        MixedReferDataset([])
    with pytest.raises(TypeError, match=r'datasets\[0\] is a MixedReferDataset, which has no expressions'):
        MixedReferDataset([mixed(jsons)])


def test_the_command_lines_folder_is_that_of_the_first_dataset() -> None:
    dataset = ConfigDict(datasets=[{'data_root': 'a'}, {'data_root': 'b'}, {'data_root': 'a'}])
    set_data_root(dataset, 'mine')
    assert [each.data_root for each in dataset.datasets] == ['mine', 'b', 'mine']
