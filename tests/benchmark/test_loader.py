from pathlib import Path

import pytest

from mmpartref.benchmark.loader import time_loader, time_transforms
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.engine.launch.build_runner import load_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def toyparts(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('toyparts')
    make_toyparts(root, splits={'train': 5}, size=(96, 72), seed=1)
    return root


@pytest.fixture
def dataloader(toyparts):
    cfg = load_config(ROOT / 'configs/cris_tiny_toyparts.py', data_root=str(toyparts)).train_dataloader
    cfg.batch_size = 6
    return cfg


def test_delivered_images_and_expressions_are_counted(dataloader):
    found = time_loader(dataloader, workers=0, batches=2, warm_up=1)
    assert found.expressions_per_second >= found.images_per_second > 0
    with pytest.raises(ValueError, match=r'1001 batches are needed but the dataset has \d+'):
        time_loader(dataloader, workers=0, batches=1000, warm_up=1)


def test_every_step_is_timed_and_the_config_stays(dataloader):
    before = dataloader.to_dict()
    steps = time_transforms(dataloader.dataset, 2)
    assert list(steps) == ['entry', 'LoadImage', 'DrawExpressions', 'LoadReferringMasks', 'Letterbox',
                           'PackReferringInputs']
    assert all(seconds > 0 for seconds in steps.values())
    assert dataloader.to_dict() == before


@pytest.mark.slow
def test_the_tool_prints_a_row_per_number_of_workers(run_tool, tmp_path, toyparts):
    out = tmp_path / 'out.json'
    shown = run_tool('benchmark_loader', ROOT / 'configs/cris_tiny_toyparts.py', '--data-root', toyparts, '--workers',
                     0, 1, '--batch-size', 4, '--batches', 1, '--warm-up', 1, '--json', out)
    assert '| LoadReferringMasks ' in shown
    assert shown.index('\n| 0 ') < shown.index('\n| 1 ')
    assert out.is_file()
