from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset
from mmengine.registry import DefaultScope
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.errors import MMPartRefError
from mmpartref.registry import DATASETS

Write = Callable[[dict], str]


def load(path: str, **settings: Any) -> PartReferDataset:
    return PartReferDataset(ann_file=path, **settings)


def refs_of(dataset: PartReferDataset) -> list[dict]:
    return [ref for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']]


def test_entry_and_ref_contract(coco: dict, write: Write) -> None:
    entry = load(write(coco), data_prefix={'img': 'images'}).get_data_info(0)
    assert entry.keys() == {'img_id', 'img_path', 'height', 'width', 'refs', 'sample_idx'}
    assert (entry['img_id'], entry['img_path'], entry['height'], entry['width']) == (1, 'images/image1.png', 20, 30)
    wheels = entry['refs'][0]
    assert {key: wheels[key] for key in wheels if key != 'rles'} == {
        'ref_id': '1:5', 'category_id': 5, 'part': 'wheel', 'super_category': 'car', 'class_name': None,
        'expressions': ['car wheel'], 'ann_ids': [11, 13]}
    assert [int(coco_mask.area(rle)) for rle in wheels['rles']] == [20, 20]
    assert wheels['rles'][0]['size'] == [20, 30]


def test_merged_is_one_ref_per_category_separate_one_per_annotation(coco: dict, write: Write) -> None:
    path = write(coco)
    merged, separate = load(path), load(path, entries={'expressions': {'instances': 'separate'}})
    assert [ref['ref_id'] for ref in refs_of(merged)] == ['1:5', '1:6', '2:9']
    assert [ref['ref_id'] for ref in refs_of(separate)] == ['1:5:11', '1:6:12', '1:5:13', '2:9:14']
    assert [ref['ann_ids'] for ref in refs_of(separate)] == [[11], [12], [13], [14]]
    assert merged.statistics.expressions == 3
    assert separate.statistics.expressions == separate.statistics.parts_used == 4


@pytest.mark.parametrize('instances', ['merged', 'separate'])
def test_grouping_changes_items_not_expressions(instances: str, coco: dict, write: Write) -> None:
    path = write(coco)
    images = load(path, entries={'expressions': {'instances': instances}})
    single = load(path, entries={'expressions': {'instances': instances}}, group_by='expression')
    assert refs_of(images) == refs_of(single)
    assert len(images) == images.statistics.items == 2
    assert len(single) == single.statistics.items == single.statistics.expressions
    assert single.num_expressions().tolist() == [1] * len(single)


def test_templates_are_all_rendered_in_order(coco: dict, write: Write) -> None:
    dataset = load(write(coco), entries={'expressions': {'templates': ['{part}', 'the {part} of the {class_name}']}})
    assert refs_of(dataset)[2]['expressions'] == ['head', 'the head of the bird']
    with pytest.raises(ValueError, match='unknown field'):
        load(write(coco), entries={'expressions': {'templates': ['{colour}']}})


def test_images_without_parts_yield_no_item(coco: dict, write: Write) -> None:
    coco['annotations'][3]['iscrowd'] = 1
    dataset = load(write(coco))
    assert [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))] == [1]
    assert (dataset.statistics.images_in_json, dataset.statistics.images_with_parts) == (2, 1)


def test_nothing_left_is_an_error(coco: dict, write: Write) -> None:
    coco['annotations'] = []
    with pytest.raises(ValueError, match=r'parts\.json: no annotated part is left'):
        load(write(coco))


def test_summary_is_printed_once(coco: dict, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = []
    monkeypatch.setattr('mmpartref.datasets.referring.part_refer_dataset.log_detail', printed.append)
    dataset = load(write(coco))
    dataset.full_init()
    _ = dataset.statistics
    assert len(printed) == 1
    for piece in ('parts.json', '2 in the json', '4 annotations in the json, 4 used', '3 in 2 items', 'merged',
                  '{super_category} {part}', 'categories   3, super-categories 2'):
        assert piece in printed[0]


def test_metainfo_names_categories(coco: dict, write: Write) -> None:
    metainfo = load(write(coco)).metainfo
    assert metainfo['category_names'] == ['Car Wheel', 'Car Hood', 'Bird Head']
    assert metainfo['super_categories'] == ['car', 'bird']
    assert metainfo['categories'][1] == {'id': 6, 'name': 'Car Hood', 'super_category': 'car', 'part': 'hood'}
    assert load(write(coco), metainfo={'super_categories': ['x']}).metainfo['super_categories'] == ['x']


def test_names_follow_the_json_not_the_ids(coco: dict, write: Write) -> None:
    for record in coco['categories']:
        record['id'] += 100
    for annotation in coco['annotations']:
        annotation['category_id'] += 100
    assert [ref['expressions'][0] for ref in refs_of(load(write(coco)))] == ['car wheel', 'car hood', 'bird head']


@pytest.mark.parametrize('serialize', [True, False])
@pytest.mark.parametrize('indices', [1, -1, [1], [1, 0, 1]])
def test_counts_follow_subsets(serialize: bool, indices: Any, coco: dict, write: Write) -> None:
    path = write(coco)

    def matches(dataset: PartReferDataset) -> bool:
        entries = [dataset.get_data_info(index) for index in range(len(dataset))]
        return dataset.num_expressions().tolist() == [len(entry['refs']) for entry in entries]

    whole = load(path, serialize_data=serialize)
    assert whole.num_expressions().tolist() == [2, 1]
    assert matches(load(path, indices=indices, serialize_data=serialize))
    subset = whole.get_subset([1])
    assert matches(subset)
    assert len(subset) == 1
    assert matches(whole)
    whole.get_subset_([1])
    assert matches(whole)


def test_statistics_describe_the_whole_json_despite_indices(coco: dict, write: Write) -> None:
    dataset = load(write(coco), indices=1)
    assert len(dataset) == 1
    assert dataset.statistics.items == 2
    assert '1 of these items are used' in dataset.statistics.summary()


def test_lazy_init_reads_on_demand(coco: dict, write: Write, tmp_path: Path) -> None:
    assert load(write(coco), lazy_init=True).statistics.items == 2
    assert load(write(coco), lazy_init=True).num_expressions().sum() == 3
    lazy = load(str(tmp_path / 'missing.json'), lazy_init=True)
    with pytest.raises(FileNotFoundError):
        lazy.full_init()


def test_max_expressions_of_the_pipeline_caps_the_counts(coco: dict, write: Write) -> None:
    dataset = load(write(coco), pipeline=[{'type': 'mmpartref.DrawExpressions', 'max_expressions': 1}])
    assert dataset.num_expressions().tolist() == [1, 1]
    assert len(dataset[0]['refs']) == 1


def test_class_balanced_wrapper_finds_the_categories(coco: dict, write: Write) -> None:
    dataset = load(write(coco))
    assert dataset.get_cat_ids(0) == [5, 6]
    assert len(ClassBalancedDataset(dataset, oversample_thr=0.9)) > 2


@pytest.mark.parametrize(('setting', 'complaint'), [
    ({'group_by': 'picture'}, r"group_by='picture' is unknown; choose one of \('image', 'expression'\)"),
    ({'entries': {'expressions': {'instances': 'both'}}},
     r"instances='both' is unknown; choose one of \('merged', 'separate', 'object'\)"),
    ({'data_prefix': {'img_path': 'x'}}, r"should be dict\(img="),
])
def test_wrong_arguments_are_rejected(setting: dict, complaint: str, coco: dict, write: Write) -> None:
    with pytest.raises(ValueError, match=complaint):
        load(write(coco), **setting)


def test_paths_may_be_path_objects(coco: dict, write: Write, tmp_path: Path) -> None:
    text = load(Path(write(coco)).name, data_root=str(tmp_path), data_prefix={'img': 'images'})
    paths = load(Path('parts.json'), data_root=tmp_path, data_prefix={'img': Path('images')})
    assert (paths.ann_file, paths.data_root, paths.data_prefix) == (text.ann_file, text.data_root, text.data_prefix)
    assert paths.get_data_info(0)['img_path'] == str(tmp_path / 'images/image1.png')
    assert load(tmp_path / 'parts.json').ann_file == str(tmp_path / 'parts.json')


@pytest.mark.parametrize(('setting', 'error', 'complaint'), [
    *[({'ann_file': value}, TypeError, 'ann_file should be') for value in (5, None, True, b'x', [], ['x'], {})],
    ({'ann_file': ''}, ValueError, 'ann_file is not given'),
    *[({'ann_file': value}, FileNotFoundError, 'ann_file .* does not exist') for value in ('\0', '\ud800')],
    *[({'data_root': value}, TypeError, 'data_root should be') for value in (5, b'x', [], True)],
    ({'data_root': '\0'}, FileNotFoundError, 'data_root .* does not exist'),
    *[({'data_prefix': {'img': value}}, TypeError, r"data_prefix\['img'\] should be") for value in (5, None, b'x', {})],
    *[({'data_prefix': value}, ValueError, r'should be dict\(img=') for value in ('x', 5, [], Path('x'), {5: 'x'})],
])
def test_paths_of_other_types_are_rejected(setting: dict, error: type, complaint: str, coco: dict,
                                           write: Write) -> None:
    with pytest.raises(error, match=complaint) as caught:
        PartReferDataset(**{'ann_file': write(coco), **setting})
    assert isinstance(caught.value, MMPartRefError)


def test_misspelt_argument_is_rejected(coco: dict, write: Write) -> None:
    with pytest.raises(TypeError, match='instance'):
        load(write(coco), instance='merged')


def test_pipeline_from_config(coco: dict, write: Write, write_image: Callable[..., str], tmp_path: Path) -> None:
    write(coco)
    write_image('images/image1.png')
    cfg = Config({
        'type': 'PartReferDataset',
        'data_root': str(tmp_path),
        'ann_file': 'parts.json',
        'data_prefix': {'img': 'images'},
        'pipeline': [
            {'type': 'LoadImage'},
            {'type': 'DrawExpressions'},
            {'type': 'LoadReferringMasks'},
            {'type': 'Letterbox', 'size': 32},
            {'type': 'PackReferringInputs'},
        ]})
    with DefaultScope.overwrite_default_scope('mmpartref'):
        item = DATASETS.build(cfg)[0]
    sample = item['data_samples']
    assert item['inputs'].shape == (3, 32, 32)
    assert sample.gt_masks.shape == (2, 32, 32)
    assert sample.expressions == ['car wheel', 'car hood']
    assert [ref['ref_id'] for ref in sample.refs] == ['1:5', '1:6']
    assert sample.ori_shape == (20, 30)
    assert np.asarray(sample.letterbox_matrix).shape == (2, 3)
