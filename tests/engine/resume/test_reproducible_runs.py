"""Reproducibility of a run, and torchrun's restart after a process died: the tools in separate processes."""
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[3]
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
def test_a_deterministic_run_is_reproduced_by_the_tool(tiny_config, odd_toyparts, tmp_path):
    """A run in this process, after others, and one in a fresh process."""
    # Dropout, drawn expressions and a worker: everything that draws.
    config = tiny_config('train_dataloader = dict(batch_size=6, num_workers=1)',
                         'model["decode_head"]["dropout"] = 0.1', 'train_cfg = dict(max_epochs=1, val_interval=5)')
    cfg = load_config(config, data_root=str(odd_toyparts), work_dir=str(tmp_path / 'here'))
    cfg.randomness = {'seed': 0, 'deterministic': True}
    cfg.experiment_name = tmp_path.name
    runner = build_runner(cfg)
    with mmengine_checkpoints_allowed():
        runner.train()
    assert torch.are_deterministic_algorithms_enabled()
    run(str(ROOT / 'tools/train.py'), str(config), '--data-root', str(odd_toyparts), '--work-dir',
        str(tmp_path / 'tool'), '--seed', '0', '--deterministic', folder=tmp_path)
    with mmengine_checkpoints_allowed():
        here, tool = (torch.load(tmp_path / name / 'epoch_1.pth', weights_only=True)['message_hub']['log_scalars']
                      for name in ('here', 'tool'))
    (losses, expected), (rates, expected_rates) = (
        [logs[name]['log']['values'].numpy() for logs in (tool, here)] for name in ('train/loss', 'train/lr'))
    assert len(losses) > 1
    np.testing.assert_array_equal(rates, expected_rates)
    # Rounding may differ between two processes; another dropout mask or expression changes a loss by percents.
    np.testing.assert_allclose(losses, expected, rtol=1e-3)


def test_torchrun_starts_again_after_a_rank_died_and_the_run_goes_on(tiny_config, odd_toyparts, tmp_path):
    (tmp_path / 'kill_once.py').write_text(KILL_ONCE.format(marker=str(tmp_path / 'killed')))
    config = tiny_config("custom_imports = dict(imports=['kill_once'])",
                         "default_hooks = dict(kill=dict(type='KillOnce'))",
                         'train_cfg = dict(max_epochs=2, val_interval=5)')
    printed = run('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', '--max-restarts', '1',
                  str(ROOT / 'tools/train.py'), str(config), '--data-root', str(odd_toyparts), '--work-dir',
                  str(tmp_path / 'run'), '--launcher', 'pytorch', '--resume', folder=tmp_path)
    assert (tmp_path / 'killed').is_file()
    assert len(re.findall('in each of 2 processes', printed)) == 2
    assert re.search(r'resumed from \S+ after 1 epoch, \d', printed)
    with mmengine_checkpoints_allowed():
        last = torch.load(tmp_path / 'run/epoch_2.pth', weights_only=True)
    assert last['meta']['epoch'] == 2
