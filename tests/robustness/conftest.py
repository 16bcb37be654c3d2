"""Drawn scenes, a config of a CRIS small enough to train on them, and the count of bad inputs."""
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import bad_input
import pytest

from mmpartref.datasets.toyparts.make_toyparts import make_toyparts

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='session')
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('drawn') / 'toyparts'
    make_toyparts(root, splits={'train': 5, 'val': 3, 'test': 3}, size=(96, 72), seed=1, workers=1)
    return root


@pytest.fixture
def scenes(drawn: Path, tmp_path: Path) -> Path:
    """Five scenes to train on, three to validate and to test on; a copy, which a test may break."""
    return Path(shutil.copytree(drawn, tmp_path / 'toyparts'))


@pytest.fixture
def tiny_config(tmp_path: Path, tiny_model_cfg: dict) -> Callable[[str], Path]:
    """Write a config, with more lines at its end; returns its path."""
    def write_config(more: str = '') -> Path:
        tiny_model_cfg['decode_head']['dropout'] = 0.1
        file = tmp_path / 'tiny.py'
        file.write_text(f"_base_ = {str(ROOT / 'configs/cris_tiny_toyparts.py')!r}\n"
                        f'model = dict(_delete_=True, **{tiny_model_cfg!r})\n'
                        'train_dataloader = dict(batch_size=12, num_workers=0, persistent_workers=False)\n'
                        'val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)\n'
                        'test_dataloader = dict(batch_size=2, num_workers=0)\n'
                        'train_cfg = dict(max_epochs=1, val_interval=1)\n'
                        "visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])\n"
                        f'{more}\n')
        return file
    return write_config


@pytest.fixture(scope='module')
def tally(request: pytest.FixtureRequest) -> Iterator:
    """Counts a file's bad inputs and, where all of its tests run, holds them against its ``AT_LEAST``."""
    counted = bad_input.Tally()
    yield counted
    module = request.module
    chosen = {item.function.__name__ for item in request.session.items if item.module is module}
    if chosen >= {name for name in vars(module) if name.startswith('test_')} and not request.session.testsfailed:
        assert counted.tried >= module.AT_LEAST, f'{counted.tried} bad inputs were tried, of {module.AT_LEAST}'
