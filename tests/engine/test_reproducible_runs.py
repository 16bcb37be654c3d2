"""The same bits again, and a run that goes on after one of its processes died: the tools in processes of their own."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmpartref.engine.checkpoint_types import mmengine_checkpoints_allowed
from mmpartref.engine.launch import build_runner, load_config

ROOT = Path(__file__).parents[2]
KILL_ONCE = """
import os
import signal
from pathlib import Path

from mmengine.hooks import Hook
from mmpartref.registry import HOOKS


@HOOKS.register_module()
class KillOnce(Hook):

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        marker = Path({marker!r})
        if runner.rank == 1 and runner.epoch == 1 and batch_idx == 0 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""


def run(*command: str, folder: Path, **environment: str) -> str:
    path = os.pathsep.join([str(ROOT), str(folder)])
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False,
                          env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': path, **environment})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture
def _undone():
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False


@pytest.mark.usefixtures('_undone')
def test_deterministic_mode_gives_the_same_bits_again(tiny_config, odd_toyparts, tmp_path):
    """In one process twice, and in another one by the tool."""
    # Dropout, drawn expressions and a worker: everything that draws.
    config = tiny_config('train_dataloader = dict(batch_size=6, num_workers=1)',
                         'model["decode_head"]["dropout"] = 0.1', 'train_cfg = dict(max_epochs=1, val_interval=5)')
    for name in ('first', 'second'):
        cfg = load_config(config, data_root=str(odd_toyparts), work_dir=str(tmp_path / name))
        cfg.randomness = {'seed': 0, 'deterministic': True}
        cfg.experiment_name = f'{tmp_path.name}_{name}'
        runner = build_runner(cfg)
        with mmengine_checkpoints_allowed():
            runner.train()
        assert torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        torch.manual_seed(99)
    run(str(ROOT / 'tools/train.py'), str(config), '--data-root', str(odd_toyparts), '--work-dir',
        str(tmp_path / 'third'), '--seed', '0', '--deterministic', folder=tmp_path)
    with mmengine_checkpoints_allowed():
        first, second, third = (torch.load(tmp_path / name / 'epoch_1.pth', weights_only=True)['state_dict']
                                for name in ('first', 'second', 'third'))
    assert len(first) > 100
    assert first.keys() == second.keys() == third.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        assert torch.equal(value, third[name]), name


def test_torchrun_starts_again_after_a_rank_died_and_the_run_goes_on(tiny_config, odd_toyparts, tmp_path):
    (tmp_path / 'kill_once.py').write_text(KILL_ONCE.format(marker=str(tmp_path / 'killed')))
    config = tiny_config("custom_imports = dict(imports=['kill_once'])",
                         "default_hooks = dict(kill=dict(type='KillOnce'))",
                         'train_cfg = dict(max_epochs=2, val_interval=5)')
    printed = run('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', '--max-restarts', '1',
                  str(ROOT / 'tools/train.py'), str(config), '--data-root', str(odd_toyparts), '--work-dir',
                  str(tmp_path / 'run'), '--launcher', 'pytorch', '--resume', folder=tmp_path)
    assert (tmp_path / 'killed').is_file()
    assert len(re.findall('Distributed training: True', printed)) == 2
    assert re.search(r'resumed epoch: 1, iter: \d', printed)
    with mmengine_checkpoints_allowed():
        last = torch.load(tmp_path / 'run/epoch_2.pth', weights_only=True)
    assert last['meta']['epoch'] == 2
