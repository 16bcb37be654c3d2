"""The lines of a run's summary."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import RepeatDataset
from torch import nn
from torch.utils.data import DataLoader

from mmpartref.datasets import PartReferDataset
from mmpartref.engine.terminal.run_summary_hook import (
    any_pretrained,
    describe_batch,
    describe_data,
    describe_optimiser,
    describe_start,
    head,
)


@pytest.fixture
def dataset(odd_toyparts) -> PartReferDataset:
    return PartReferDataset(ann_file='annotations/train/train.json', data_root=str(odd_toyparts),
                            data_prefix={'img': 'images/train'})


def test_drops_and_repairs_are_counted(dataset, odd_toyparts):
    expressions = int(dataset.num_expressions().sum())
    path = f'{odd_toyparts}/annotations/train/train.json'
    assert describe_data(dataset) == f'5 images, {expressions} expressions: {path}'
    dataset.statistics.images_in_json += 1
    dataset.statistics.parts_used -= 2
    dataset.statistics.refs_dropped = 3
    dataset.statistics.short_rings_dropped = dataset.statistics.backslash_file_names = 2
    assert describe_data(dataset) == (f'5 images, {expressions} expressions; dropped: 1 image, 2 annotations, '
                                      f'3 expressions; repaired: 4 records: {path}')


def test_wrapped_and_other_datasets(dataset, odd_toyparts):
    assert '; RepeatDataset of 1 json, 15 items: ' in describe_data(RepeatDataset(dataset, times=3))
    assert describe_data([0, 1]) == '2 images'
    single = PartReferDataset(ann_file='annotations/train/train.json', data_root=str(odd_toyparts),
                              data_prefix={'img': 'images/train'}, group_by='expression')
    assert describe_data(single).startswith(f'{len(single)} items, {len(single)} expressions: ')


def test_batches_of_items():
    assert describe_batch(DataLoader(range(6), batch_size=4)) == '4 items, 0 workers'
    assert describe_batch(DataLoader(range(6), batch_size=1, num_workers=1)) == '1 item, 1 worker'
    batches = [[0], [1, 2]]
    assert describe_batch(DataLoader(range(6), batch_sampler=batches)) == 'list, 0 workers'


def test_learning_rates_of_several_groups_and_optimisers():
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.SGD([{'params': one.parameters(), 'lr': 0.1}, {'params': two.parameters(), 'lr': 0.5}])
    wrapper = SimpleNamespace(optimizer=optimizer)
    run = SimpleNamespace(optim_wrapper=wrapper, param_schedulers=None)
    assert describe_optimiser(run) == 'SGD, learning rate 0.1 to 0.5'
    optimizer.param_groups[0].update(lr=0.001, initial_lr=0.5)
    run.optim_wrapper, run.param_schedulers = {'a': wrapper, 'b': wrapper}, {'a': [1], 'b': [2, 'x']}
    assert describe_optimiser(run) == 'SGD, learning rate 0.5; SGD, learning rate 0.5, int, str'


def test_where_the_weights_are_from():
    run = SimpleNamespace(_resume=False, _load_from=None, cfg={'model': {'a': [{'init_cfg': {'checkpoint': 'x'}}]}})
    assert describe_start(run) == 'new, from the weights that init_cfg names'
    assert not any_pretrained({'init_cfg': {'type': 'Xavier'}})
    run.cfg = {'model': {}}
    assert describe_start(run) == 'new, from random weights'
    run._load_from = 'mmpartref-checked:/weights/a.pth'
    assert describe_start(run) == 'new, from /weights/a.pth'


def test_frozen_parameters_are_counted():
    model = nn.Linear(1000, 1000, bias=False)
    run = SimpleNamespace(model=model, cfg=SimpleNamespace(filename=None), experiment_name='name')
    assert head(run) == {'config': 'name', 'model': 'Linear, 1.00 M parameters'}
    model.backbone = nn.Linear(1000, 500, bias=False)
    model.backbone.requires_grad_(False)
    assert head(run)['model'] == 'Linear (Linear), 1.50 M parameters, 1.00 M of them trained'
