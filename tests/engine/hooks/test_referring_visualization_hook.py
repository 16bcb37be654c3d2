from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as mask_api

from mmpartref.engine import ReferringVisualizationHook
from mmpartref.structures import ReferringDataSample
from mmpartref.visualization import PartReferVisualizer


def sample(folder: Path, number: int) -> ReferringDataSample:
    mask = np.zeros((60, 80), dtype=np.uint8)
    mask[10:30, 10:40] = 1
    path = folder / f'image{number}.png'
    cv2.imwrite(str(path), np.full((60, 80, 3), 90, dtype=np.uint8))
    out = ReferringDataSample(metainfo={'img_path': str(path), 'ori_shape': (60, 80)})
    out.expressions = ['car tire']
    out.refs = [{'rles': [mask_api.encode(np.asfortranarray(mask))]}]
    out.pred_masks = torch.from_numpy(mask.astype(bool))[None]
    out.pred_scores = torch.tensor([0.5])
    return out


@pytest.fixture
def runner(tmp_path) -> SimpleNamespace:
    visualizer = PartReferVisualizer(
        name='test', vis_backends=[{'type': 'LocalVisBackend'}], save_dir=str(tmp_path / 'vis'))
    return SimpleNamespace(visualizer=visualizer, iter=7, test_evaluator=None)


def test_a_test_writes_the_first_images_into_the_folder(runner, tmp_path):
    hook = ReferringVisualizationHook(max_images=3, out_dir=str(tmp_path / 'out'))
    hook.before_test_epoch(runner)
    for batch in range(2):
        hook.after_test_iter(runner, batch, outputs=[sample(tmp_path, 2 * batch), sample(tmp_path, 2 * batch + 1)])
    files = sorted((tmp_path / 'out').iterdir())
    assert [file.name for file in files] == ['0000_image0.png', '0001_image1.png', '0002_image2.png']
    assert cv2.imread(str(files[0])).shape[1] > 3 * 80


def test_a_test_does_not_ask_for_the_training_loop(runner, tmp_path):
    """``Runner.iter`` builds it, with the training data, which a test need not have."""
    del runner.iter
    hook = ReferringVisualizationHook(out_dir=str(tmp_path / 'out'))
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, outputs=[sample(tmp_path, 0)])
    assert len(list((tmp_path / 'out').iterdir())) == 1


def test_two_items_of_one_image_are_two_pictures(runner, tmp_path):
    hook = ReferringVisualizationHook(out_dir=str(tmp_path / 'out'))
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, outputs=[sample(tmp_path, 0), sample(tmp_path, 0)])
    assert len(list((tmp_path / 'out').iterdir())) == 2


def test_a_part_that_is_not_there_has_an_empty_truth(runner, tmp_path):
    absent = sample(tmp_path, 0)
    absent.refs = [{'rles': [], 'absent': 'other'}]
    hook = ReferringVisualizationHook(out_dir=str(tmp_path / 'out'))
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, outputs=[absent, sample(tmp_path, 1)])
    pictures = [cv2.imread(str(file)) for file in sorted((tmp_path / 'out').iterdir())]
    assert (pictures[0] != pictures[1]).any()


def test_a_test_without_a_folder_draws_nothing(runner, tmp_path):
    hook = ReferringVisualizationHook()
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, outputs=[sample(tmp_path, 0)])
    assert not list(tmp_path.rglob('vis_image/*'))


def test_every_validation_adds_pictures_to_the_backends(runner, tmp_path):
    hook = ReferringVisualizationHook(max_images=1)
    for step in (7, 9):
        runner.iter = step
        hook.before_val_epoch(runner)
        hook.after_val_iter(runner, 0, outputs=[sample(tmp_path, 0), sample(tmp_path, 1)])
    pictures = [file.name for file in tmp_path.rglob('*_*.png')]
    assert sorted(pictures) == ['val_0_7.png', 'val_0_9.png']


def test_another_visualizer_is_not_used(tmp_path):
    runner = SimpleNamespace(visualizer=object(), iter=7)
    hook = ReferringVisualizationHook()
    hook.before_run(runner)
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, outputs=[sample(tmp_path, 0)])
