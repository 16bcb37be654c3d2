"""Which part categories an image shows, from the dataset's annotations."""
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.transforms import DrawExpressions, LoadImage, PackReferringInputs
from mmpartref.engine.launch.fill_labels import fill_labels
from mmpartref.errors import ConfigError

Write = Callable[[dict], str]


def labels_of(dataset: PartReferDataset) -> list[dict]:
    return [dataset.get_data_info(index)['part_presence'] for index in range(len(dataset))]


def test_each_image_lists_the_parts_that_it_shows(coco: dict, write: Write) -> None:
    path = write(coco)
    expected = [{'car wheel': True, 'car hood': True, 'bird head': False},
                {'car wheel': False, 'car hood': False, 'bird head': True}]
    assert labels_of(PartReferDataset(ann_file=path, entries={'labels': {}})) == expected
    # However the image's expressions are divided.
    assert labels_of(PartReferDataset(ann_file=path, entries={'labels': {}}, group_by='expression')) == [
        expected[0], expected[0], expected[1]]
    assert 'part_presence' not in PartReferDataset(ann_file=path).get_data_info(0)


def test_dropped_annotations_are_unknown_and_unannotated_categories_are_not_labels(coco: dict, write: Write) -> None:
    coco['annotations'].append({**coco['annotations'][3], 'id': 15, 'category_id': 5, 'iscrowd': 1})
    coco['annotations'].append({**coco['annotations'][0], 'id': 16, 'iscrowd': 1})
    coco['categories'].append({'id': 10, 'name': 'Bird Tail', 'supercategory': 'Bird'})
    coco['categories'].append({'id': 1, 'name': 'Car', 'supercategory': 'Car', 'level': 'object'})
    coco['annotations'].append({**coco['annotations'][0], 'id': 17, 'category_id': 1})
    assert labels_of(PartReferDataset(ann_file=write(coco), entries={'labels': {}})) == [
        {'car wheel': True, 'car hood': True, 'bird head': False}, {'car hood': False, 'bird head': True}]


def test_labels_do_not_depend_on_the_drawn_expressions(coco: dict, write: Write, write_image: Callable) -> None:
    root = Path(write_image('image1.png')).parent
    dataset = PartReferDataset(ann_file=write(coco), entries={'labels': {}}, indices=1, data_prefix={'img': str(root)},
                               pipeline=[LoadImage(), DrawExpressions(max_expressions=1), PackReferringInputs()])
    sample = dataset[0]['data_samples']
    assert len(sample.refs) == 1
    assert sample.part_presence == {'car wheel': True, 'car hood': True, 'bird head': False}


def test_a_head_without_labels_gets_the_training_jsons(coco: dict, write: Write) -> None:
    coco['categories'].append({'id': 1, 'name': 'Car', 'supercategory': 'Car', 'level': 'object'})
    dataset = {'type': 'PartReferDataset', 'ann_file': write(coco)}

    def filled(train: dict, **head: object) -> list[str] | None:
        cfg = Config({'model': {'auxiliary_head': {'type': 'MultiLabelPresenceHead', **head}},
                      'train_dataloader': {'dataset': train}})
        fill_labels(cfg)
        return cfg.model.auxiliary_head.get('labels')

    every = ['car wheel', 'car hood', 'bird head']
    assert filled(dataset) == filled({'type': 'MixedReferDataset', 'datasets': [dataset, dataset]}) == every
    assert filled(dataset, labels=['mine']) == ['mine']
    with pytest.raises(ConfigError, match=r"read from the training json 'none.json', which does not exist"):
        filled({**dataset, 'ann_file': 'none.json'})
