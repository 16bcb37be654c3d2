"""Pictures of a dataset after its pipeline, and the tools of mmdet's wheel on our configs."""
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement
from PIL import Image

from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.detector_config import fill_categories
from mmpartref.errors import InputError
from mmpartref.registry import DATASETS, SCOPE, VISUALIZERS
from mmpartref.visualization.dataset_pictures import item_masks, write_pictures
from mmpartref.visualization.overlay import PANEL_SIDES, distinct_colour

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/cris_tiny_toyparts.py'
DETECTOR = ROOT / 'configs/toyparts/mask_rcnn_tiny_toyparts.py'
SIDE = 160  # of the network's input


@pytest.fixture(scope='module')
def toyparts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('toyparts')
    make_toyparts(root, splits={'train': 4, 'val': 1}, size=(96, 72), seed=1)
    return root


@pytest.fixture
def build(toyparts: Path) -> Callable:
    """Build a config's dataset of a split; with ``of``, another split's with this one's pipeline."""
    def build(config: Path, split: str, of: str = '', **options: object) -> torch.utils.data.Dataset:
        cfg = load_config(config, data_root=str(toyparts))
        fill_categories(cfg)
        dataset = cfg[f'{split}_dataloader'].dataset
        if of:
            dataset = {**cfg[f'{of}_dataloader'].dataset, 'pipeline': dataset.pipeline}
        with DefaultScope.overwrite_default_scope(SCOPE):
            return DATASETS.build({**dataset, **options})
    return build


def write(dataset: torch.utils.data.Dataset, out: Path, first: int = 0, number: int = 9) -> list[str]:
    return list(write_pictures(dataset, out, first, number, seed=0, epoch=0))


def test_the_tool_writes_numbered_pictures_with_masks_in_their_colours(run_tool, build, tmp_path, toyparts):
    shown = run_tool('browse_dataset', CONFIG, '--data-root', toyparts, '--out', tmp_path / 'out', '--first', 1,
                     '--number', 2)
    dataset = build(CONFIG, 'train')
    names = [f'{index:04d}_{Path(dataset.get_data_info(index)["img_path"]).stem}.png' for index in (1, 2)]
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == names
    assert all(f' -> {tmp_path / "out" / name}\n' in shown for name in names)
    picture = np.asarray(Image.open(tmp_path / 'out' / names[0])).astype(float)
    panel = PANEL_SIDES[0]
    gap, scale = picture.shape[1] // 2 - panel, panel // SIDE
    top = next(row for row in range(99) if (picture[row, :panel] != picture[0, 0]).all(axis=1).mean() > 0.9)
    plain, truth = picture[top:top + panel, :panel], picture[top:top + panel, panel + gap:2 * panel + gap]
    masks = dataset[1]['data_samples'].gt_masks.numpy() > 127
    large = masks.repeat(scale, axis=1).repeat(scale, axis=2)
    number = int(masks.sum(axis=(1, 2)).argmax())
    alone = large[number] & (large.sum(axis=0) == 1)
    tinted = plain + 0.45 * (np.array(distinct_colour(number)) - plain)
    assert np.median(abs(truth - tinted)[alone]) <= 1
    assert np.median(abs(truth - plain)[~large.any(axis=0)]) == 0


def test_masks_of_an_evaluation_are_those_of_a_training(build):
    train, val = build(CONFIG, 'train'), build(CONFIG, 'val', of='train')
    for index in range(len(train)):
        labels, masks = item_masks(train[index]['data_samples'], (), (SIDE, SIDE))
        texts, evaluated = item_masks(val[index]['data_samples'], (), (SIDE, SIDE))
        assert labels == texts
        assert np.array_equal(masks, evaluated)


@pytest.mark.slow
@pytest.mark.full_mmcv
def test_a_detectors_masks_have_the_names_of_their_categories(build, tmp_path):
    train = build(DETECTOR, 'train', ann_file='annotations/val/val.json', data_prefix={'img': 'images/val'})
    val = build(DETECTOR, 'val')
    inputs = [dataset[0]['inputs'] for dataset in (train, val)]
    assert torch.equal(*inputs)
    size = tuple(inputs[0].shape[1:])
    labels, masks = item_masks(train[0]['data_samples'], train.metainfo['classes'], size)
    texts, evaluated = item_masks(val[0]['data_samples'], (), size)
    # A mask per annotation, and one per part.
    assert {label.lower().replace('tier', 'tire') for label in labels} == set(texts)
    # mmdet resizes masks to the nearest pixel.
    assert (evaluated.any(axis=0) == masks.any(axis=0)).mean() > 0.97
    assert len(write(train, tmp_path)) == len(list(tmp_path.glob('*.png'))) == 1


def test_an_epoch_has_its_own_expressions_and_a_picture_is_reproducible(run_tool, tmp_path, toyparts):
    templates = 'train_dataloader.dataset.entries.expressions.templates=["a {part}", "the {part} of the thing"]'
    files = []
    for out, epoch in (('a', 0), ('b', 0), ('c', 1)):
        run_tool('browse_dataset', CONFIG, '--data-root', toyparts, '--out', tmp_path / out, '--number', 1, '--epoch',
                 epoch, '--cfg-options', templates)
        files.append(next((tmp_path / out).iterdir()).read_bytes())
    assert files[0] == files[1] != files[2]


def test_an_absent_part_has_an_empty_mask(build, tmp_path):
    dataset = build(CONFIG, 'train', entries={'absent': {'number': 1}})
    labels, masks = item_masks(dataset[0]['data_samples'], (), (SIDE, SIDE))
    assert len(labels) == len(masks)
    assert np.flatnonzero(~masks.any(axis=(1, 2))).tolist() == [len(labels) - 1]
    assert len(write(dataset, tmp_path, number=1)) == 1


def test_a_skipped_image_is_named_and_not_drawn(build, tmp_path, toyparts):
    dataset = build(CONFIG, 'train', on_bad_image='skip', data_root=str(toyparts), data_prefix={'img': 'missing'})
    lines = write(dataset, tmp_path / 'out')
    assert len(lines) == 4
    assert all(': skipped: ' in line for line in lines)
    assert not (tmp_path / 'out').exists()


def test_what_cannot_be_drawn_is_one_sentence(build, tmp_path):
    dataset = build(CONFIG, 'train')
    with pytest.raises(InputError, match='has 4 items, counted from 0, and none of index 4'):
        write(dataset, tmp_path, first=4)
    with pytest.raises(InputError, match="is a folder of the dataset's images"):
        write(dataset, Path(dataset.get_data_info(0)['img_path']).parent)
    with pytest.raises(InputError, match='does not pack its items'):
        write(build(CONFIG, 'train', pipeline=[]), tmp_path)
    with pytest.raises(InputError, match='packs a BaseDataElement without masks'):
        item_masks(BaseDataElement(metainfo={'img_path': 'a.jpg'}), (), (2, 2))


def test_the_visualizer_of_a_config_is_built_without_a_name():
    with DefaultScope.overwrite_default_scope(SCOPE):
        assert VISUALIZERS.build({'type': 'PartReferVisualizer'}).instance_name == 'visualizer'
        assert VISUALIZERS.build({'type': 'PartReferVisualizer', 'name': 'mine'}).instance_name == 'mine'


@pytest.mark.slow
@pytest.mark.full_mmcv
def test_mmdets_get_flops_runs(toyparts, tmp_path):
    import mmdet
    script = Path(mmdet.__file__).parent / '.mim/tools/analysis_tools/get_flops.py'
    done = subprocess.run(
        [sys.executable, script, CONFIG, '--num-images', '1', '--cfg-options', 'val_dataloader.num_workers=0',
         'val_dataloader.persistent_workers=False', f'val_dataloader.dataset.data_root={toyparts}'],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert f'Input shape: ({SIDE}, {SIDE})\n' in done.stdout
    assert 'Params: 5.042M\n' in done.stdout
