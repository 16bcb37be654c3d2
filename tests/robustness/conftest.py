"""Drawn scenes and a config of a CRIS small enough to train on them in a test."""
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmpartref.datasets.toyparts import make_toyparts

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
