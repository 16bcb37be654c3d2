"""The recipes of docs/recipes.md, each from its config file to a score, on a few drawn scenes in their folders."""
import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from pycocotools import mask as coco_mask

from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.engine.launch.prediction_dump import add_dump
from mmpartref.errors import WeightsError
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed

ROOT = Path(__file__).parents[1]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
ALONE = {'num_workers': 0, 'persistent_workers': False}


def upper_half(rle: dict) -> dict:
    """The upper half of a mask: a part's part."""
    mask = coco_mask.decode(rle)
    rows = np.flatnonzero(mask.any(axis=1))
    mask[rows[len(rows) // 2] + 1:] = 0
    found = coco_mask.encode(np.asfortranarray(mask))
    return {'size': found['size'], 'counts': found['counts'].decode()}


def as_rle(annotation: dict, image: dict) -> dict:
    rles = coco_mask.frPyObjects(annotation['segmentation'], image['height'], image['width'])
    return coco_mask.merge(rles) if isinstance(rles, list) else rles


def refcoco(document: dict, source: str) -> dict:
    records = [{'id': number, 'image_id': each['image_id'], 'ann_ids': [each['id']], 'expressions': ['that', 'this']}
               for number, each in enumerate(document['annotations'][::3])]
    objects = [{'id': each['id'], 'name': f'thing {each["id"]}', 'supercategory': 'things'}
               for each in document['categories']]
    return {**document, 'info': {'source': source}, 'categories': objects, 'referring': records}


def with_rims(document: dict) -> dict:
    """Every tire, and every head, gets a rim of a new category."""
    document = copy.deepcopy(document)
    images = {image['id']: image for image in document['images']}
    tires = {each['id'] for each in document['categories'] if each['name'].endswith(('Tier', 'Head'))}
    rim = {'id': 900, 'name': 'Car Rim Of The Tire', 'supercategory': 'Car', 'level': 'subpart'}
    document['categories'] += [rim, {'id': 901, 'name': 'thing', 'supercategory': '', 'level': 'object'}]
    last = max(each['id'] for each in document['annotations'])
    document['annotations'] += [
        {'id': last + number, 'image_id': each['image_id'], 'category_id': 900,
         'segmentation': upper_half(as_rle(each, images[each['image_id']]))}
        for number, each in enumerate(document['annotations'], start=1) if each['category_id'] in tires]
    document['annotations'] += [{**each, 'id': 10**6 + each['id'], 'category_id': 901}
                                for each in document['annotations'][:len(document['annotations']):4]]
    return document


@pytest.fixture(scope='module')
def folders(tmp_path_factory) -> Path:
    """A folder with ``data/`` as the recipes expect it."""
    root = tmp_path_factory.mktemp('recipes')
    toyparts = root / 'data/PartImageNet'
    make_toyparts(toyparts, splits={'train': 4, 'val': 3, 'test': 3}, size=(96, 72), seed=1)
    parts = {split: json.loads((toyparts / f'annotations/{split}/{split}.json').read_text())
             for split in ('train', 'val', 'test')}

    def write(name: str, document: dict) -> None:
        path = root / 'data' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))

    for name, by, source in (('refcoco', 'unc', 'RefCOCO'), ('refcoco+', 'unc', 'RefCOCO+'),
                             ('refcocog', 'umd', 'RefCOCOg')):
        for split in ('train', 'val', 'testA'):
            write(f'{name}/{name}_{by}_{split}.json', refcoco(parts['train'], source))
    for split, document in parts.items():
        write(f'spin/{split}_levels.json', with_rims(document))
    owners = [{**each, 'supercategory': 'thing'} for each in parts['train']['categories']]
    write('coco/annotations/instances_train2017.json', {**parts['train'], 'categories': owners})
    for year in ('train2014', 'train2017'):
        (root / 'data/coco' / year).symlink_to(toyparts / 'images/train')
    return root


@pytest.fixture
def recipe(folders, tiny_model_cfg, monkeypatch) -> Callable[..., Config]:
    monkeypatch.chdir(folders)

    def shrink(name: str, **options: Any) -> Config:
        cfg = load_config(next((ROOT / 'configs').rglob(f'{name}.py')), options)
        head, loss = cfg.model.get('auxiliary_head'), cfg.model.decode_head.get('loss')
        laterals, maps = cfg.model.decode_head.get('laterals', 0), cfg.model.backbone.get('out_indices', (1, 2, 3))
        cfg.model = {**copy.deepcopy(tiny_model_cfg), 'decode': cfg.model.decode}
        cfg.model.decode_head.laterals, cfg.model.backbone.out_indices = laterals, maps
        if loss:
            cfg.model.decode_head.loss = loss
        if head:
            cfg.model.auxiliary_head = head
        for loader in LOADERS:
            cfg[loader].update(batch_size=2, **ALONE)
            for dataset in cfg[loader].dataset.get('datasets') or [cfg[loader].dataset]:
                next(step for step in dataset.pipeline if step['type'] == 'Letterbox')['size'] = 64
        cfg.train_dataloader.batch_size = 16
        cfg.train_cfg.update(max_epochs=1)
        cfg.val_dataloader.dataset.indices = cfg.test_dataloader.dataset.indices = 2
        cfg.default_hooks.logger.interval = 1
        cfg.visualizer.vis_backends = [{'type': 'LocalVisBackend'}]
        cfg.randomness = {'seed': 3}
        cfg.experiment_name = f'{name}_{len(list(folders.glob("work_dirs/*/*")))}'
        return cfg
    return shrink


def train(cfg: Config) -> Runner:
    runner = build_runner(cfg)
    with mmengine_checkpoints_allowed():
        runner.train()
    return runner


def last(cfg: Config, key: str) -> dict:
    """The last logged line that has a key."""
    rows = [json.loads(line) for file in sorted(Path(cfg.work_dir).glob('*/vis_data/scalars.json'))
            for line in file.read_text().splitlines()]
    return [row for row in rows if key in row][-1]


@pytest.mark.slow
def test_pretraining_on_refcoco_and_fine_tuning_on_parts(recipe):
    cfg = recipe('cris_r50_refcoco')
    first = train(cfg)
    assert [each['ann_file'] for each in first.train_dataloader.dataset.metainfo['mixed']] == [
        f'data/{name}/{name}_{by}_train.json'
        for name, by in (('refcoco', 'unc'), ('refcoco+', 'unc'), ('refcocog', 'umd'))]
    checkpoint = Path(cfg.work_dir) / 'epoch_1.pth'
    assert str(checkpoint.with_name('epoch_10.pth')) == recipe('cris_r50_refcoco_partimagenet').load_from

    tuned = recipe('cris_r50_refcoco_partimagenet', load_from=str(checkpoint))
    tuned.optim_wrapper.optimizer.lr = 0.0
    second = train(tuned)
    learnt = dict(first.model.named_parameters())
    # Exact: loaded, and left alone by a learning rate of 0.
    for name, value in second.model.named_parameters():
        assert torch.equal(value, learnt[name]), name
    assert last(tuned, 'refer/mIoU')['refer/mIoU'] >= 0

    # A checkpoint that lacks a head's weight is rejected by name.
    with mmengine_checkpoints_allowed():
        content = torch.load(checkpoint, weights_only=True)
    gone = next(name for name in content['state_dict'] if name.startswith('decode_head.projector'))
    del content['state_dict'][gone]
    torch.save(content, checkpoint.with_name('cut.pth'))
    with pytest.raises(WeightsError, match=gone.replace('.', r'\.')):
        train(recipe('cris_r50_refcoco_partimagenet', load_from=str(checkpoint.with_name('cut.pth'))))


@pytest.mark.slow
def test_parts_and_objects_together(recipe):
    cfg = recipe('cris_r50_joint_partimagenet')
    dataset = train(cfg).train_dataloader.dataset
    refs = [ref for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']]
    # Two objects in each scene of ToyParts.
    assert sum(ref.get('level') == 'object' for ref in refs) == 8
    assert 'refer/mIoU_level_object' not in last(cfg, 'refer/mIoU')

    cfg = recipe('cris_r50_joint_partimagenet', **{'test_dataloader.dataset.entries.objects.type': 'WholeObjects'})
    found = build_runner(cfg).test()
    assert {'refer/mIoU_level_object', 'refer/mIoU_level_part'} <= found.keys()


@pytest.mark.slow
def test_parts_and_another_sets_objects_in_proportion(recipe):
    cfg = recipe('cris_r50_joint_coco_partimagenet', **{'train_dataloader.sampler.epoch_length': 8})
    runner = train(cfg)
    sampler = runner.train_dataloader.batch_sampler.sampler
    assert (sampler.shares, sampler.epoch) == ([6, 2], 0)
    assert sum(index >= 4 for index in sampler) == 2
    coco = runner.train_dataloader.dataset.datasets[1].get_data_info(0)['refs']
    assert {(ref['level'], ref['source']) for ref in coco} == {('object', 'COCO')}
    assert last(cfg, 'loss')['loss'] > 0


@pytest.mark.slow
def test_objects_parts_and_their_parts(recipe, folders):
    cfg = recipe('cris_r50_levels_partimagenet')
    runner = train(cfg)
    assert last(cfg, 'refer/mIoU').keys() >= {'refer/mIoU_level_object', 'refer/mIoU_level_part',
                                              'refer/mIoU_level_subpart'}
    dataset = runner.train_dataloader.dataset
    for index in range(len(dataset)):
        assert len({ref.get('level') for ref in dataset[index]['data_samples'].refs}) == 1
    cfg = recipe('cris_r50_levels_partimagenet')
    cfg.load_from = None
    add_dump(cfg, str(folders / 'levels.json'))
    found = build_runner(cfg).test()
    rows = score_dump(read_dump(folders / 'levels.json'))
    assert {row.level for row in rows} == {'object', None, 'subpart'}
    assert 'the rim of the tire of the car' in {row.expression for row in rows}
    ious = [row.score.overlap.iou for row in rows if row.level == 'subpart']
    assert found['refer/mIoU_level_subpart'] == pytest.approx(np.mean(ious))


@pytest.mark.slow
def test_small_parts_have_augmentation_lateral_maps_and_the_dice_loss(recipe):
    cfg = recipe('cris_r50_small_parts_partimagenet')
    runner = train(cfg)
    assert last(cfg, 'loss')['loss_tversky'] > 0
    head, channels = runner.model.decode_head, runner.model.backbone.out_channels
    assert head.projector.conv1[0].in_channels == head.in_channels + channels[1]
    kinds = [type(each).__name__ for each in runner.train_dataloader.dataset.pipeline.transforms]
    assert kinds == ['LoadImage', 'DrawExpressions', 'LoadReferringMasks', 'RandomPartFlip', 'RandomPartZoom',
                     'RandomColour', 'Letterbox', 'PackReferringInputs']


@pytest.mark.slow
@pytest.mark.parametrize('name', ['cris_r50_image_labels_partimagenet', 'cris_tiny_toyparts_image_labels'])
def test_which_parts_an_image_shows_next_to_the_masks(name, recipe):
    cfg = recipe(name)
    if 'toyparts' in name:
        for loader in LOADERS:
            cfg[loader].dataset.data_root = 'data/PartImageNet'
        cfg.model.auxiliary_head.labels = None
    runner = train(cfg)
    row = last(cfg, 'loss')
    assert row['loss'] == pytest.approx(row['loss_image_labels'] + row['loss_text_to_pixel'], abs=1e-3)
    assert row['loss_image_labels'] > 0
    assert len(runner.model.auxiliary_head.labels) == 40
    assert 0 < last(cfg, 'image/mAP')['image/mAP'] <= 1


@pytest.mark.e2e
def test_two_processes_train_a_mixture(folders, tiny_model_cfg, tmp_path, free_port):
    """With an auxiliary head, without find_unused_parameters; a rank may hold only objects, which have no label."""
    tiny_model_cfg['auxiliary_head'] = {'type': 'MultiLabelPresenceHead', 'labels': 'partimagenet'}
    config = tmp_path / 'mixture.py'
    config.write_text(f"_base_ = {str(ROOT / 'configs/cris/cris_r50_joint_coco_partimagenet.py')!r}\n"
                      f'model = dict(_delete_=True, decode="aligned", **{tiny_model_cfg!r})\n'
                      '_sets = _base_.train_dataloader.dataset.datasets\n'
                      'for _set in _sets:\n'
                      '    _set.entries = dict(labels=dict())\n'
                      '    _set.pipeline[3].size = 64\n'
                      'train_dataloader = dict(batch_size=8, sampler=dict(epoch_length=10), '
                      f'dataset=dict(datasets=_sets), **{ALONE!r})\n'
                      'val_dataloader = val_evaluator = val_cfg = None\n'
                      'train_cfg = dict(max_epochs=1)\n'
                      'default_hooks = dict(logger=dict(interval=1), checkpoint=dict(save_best=None))\n'
                      "visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])\n")
    done = subprocess.run(
        ['bash', str(ROOT / 'tools/dist_train.sh'), str(config), '2', '--work-dir', str(tmp_path / 'dist'), '--seed',
         '3'],
        cwd=folders, capture_output=True, text=True, check=False,
        env={**os.environ, 'PYTHON': sys.executable, 'PORT': free_port, 'OMP_NUM_THREADS': '1',
             'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    log = [json.loads(line) for file in (tmp_path / 'dist').glob('*/vis_data/scalars.json')
           for line in file.read_text().splitlines()]
    steps = [row for row in log if 'loss_image_labels' in row]
    assert len(steps) >= 3
    assert all(np.isfinite(row['loss']) for row in steps)
    assert (tmp_path / 'dist/epoch_1.pth').is_file()
