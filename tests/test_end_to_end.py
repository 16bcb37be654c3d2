"""The tools on a few drawn scenes: train, kill, resume, test, dump, score again, two processes."""
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from mmpartref.datasets.toyparts import make_toyparts
from mmpartref.engine.checkpoint_types import mmengine_checkpoints_allowed
from mmpartref.engine.launch import build_runner, load_config
from mmpartref.engine.preemption_hook import PreemptedError
from mmpartref.evaluation.dump import read_dump

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def toyparts(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'toyparts'
    make_toyparts(root, splits={'train': 5, 'val': 3, 'test': 3}, size=(96, 72), seed=1)
    return root


@pytest.fixture
def config(tmp_path, tiny_model_cfg) -> Path:
    # Dropout on, so that resuming has random numbers to get right.
    tiny_model_cfg['decode_head']['dropout'] = 0.1
    file = tmp_path / 'tiny.py'
    file.write_text(f"_base_ = {str(ROOT / 'configs/cris_tiny_toyparts.py')!r}\n"
                    f'model = dict(_delete_=True, **{tiny_model_cfg!r})\n'
                    'train_dataloader = dict(batch_size=12, num_workers=0, persistent_workers=False)\n'
                    'val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)\n'
                    # One photo a batch: what shares one depends on the number of processes, and rounding on that.
                    'test_dataloader = dict(batch_size=1, num_workers=0)\n'
                    'train_cfg = dict(max_epochs=2, val_interval=1)\n'
                    'default_hooks = dict(logger=dict(interval=1))\n'
                    "visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])\n")
    return file


def train(config: Path, toyparts: Path, work_dir: Path, *, resume: bool = False, **options) -> Runner:
    cfg = load_config(config, options, data_root=str(toyparts), work_dir=str(work_dir))
    cfg.randomness = {'seed': 3}
    cfg.resume = resume
    cfg.experiment_name = f'{work_dir.name}_{resume}'
    runner = build_runner(cfg)
    with mmengine_checkpoints_allowed():
        runner.train()
    return runner


def losses(work_dir: Path) -> list[tuple[int, float]]:
    rows = []
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        rows += [json.loads(line) for line in file.read_text().splitlines()]
    return [(row['epoch'], row['loss']) for row in rows if 'loss' in row]


def test_resuming_after_a_kill_continues_with_the_same_losses(config, toyparts, tmp_path):
    whole = train(config, toyparts, tmp_path / 'whole')
    expected = losses(tmp_path / 'whole')
    assert len({epoch for epoch, _ in expected}) == 2

    class Killed(Exception):
        pass

    def kill(runner: Runner, *args: object, **kwargs: object) -> None:
        if runner.epoch == 1:
            raise Killed

    cfg = load_config(config, data_root=str(toyparts), work_dir=str(tmp_path / 'broken'))
    cfg.randomness = {'seed': 3}
    cfg.experiment_name = 'broken'
    runner = build_runner(cfg)
    runner.hooks[-1].after_train_iter = kill
    with pytest.raises(Killed):
        runner.train()

    # Then it is told to stop within the second epoch, and goes on there with a loading process.
    cfg.resume, cfg.experiment_name = True, 'stopped'
    runner = build_runner(cfg)
    runner.hooks[-1].before_train_iter = lambda *args, **kwargs: signal.raise_signal(signal.SIGTERM)
    with mmengine_checkpoints_allowed(), pytest.raises(PreemptedError):
        runner.train()
    stopped = runner.iter + 1
    assert len(expected) // 2 < stopped < len(expected)

    resumed = train(config, toyparts, tmp_path / 'broken', resume=True, **{'train_dataloader.num_workers': 1})
    again = [loss for epoch, loss in losses(tmp_path / 'broken') if epoch == 2]
    assert again[-len(expected) // 2:] == [loss for epoch, loss in expected if epoch == 2]
    for (name, one), (_, other) in zip(
            whole.model.state_dict().items(), resumed.model.state_dict().items(), strict=True):
        assert torch.equal(one, other), name


def test_a_dump_scores_again_to_the_digit_and_by_two_processes(config, toyparts, tmp_path):
    work_dir = tmp_path / 'run'
    runner = train(config, toyparts, work_dir, **{'train_cfg.max_epochs': 1})
    assert (work_dir / 'epoch_1.pth').is_file()
    assert list(work_dir.glob('best_refer_mIoU_epoch_*.pth'))
    trained = runner.message_hub.get_scalar('val/refer/mIoU').current()
    assert 0 <= trained <= 1

    def tool(*args: str) -> str:
        done = subprocess.run([*args], cwd=tmp_path, capture_output=True, text=True, check=False,
                              env={**os.environ, 'PYTHON': sys.executable, 'PORT': '29631', 'OMP_NUM_THREADS': '1',
                                   'PYTHONPATH': str(ROOT)})
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    common = ['--data-root', str(toyparts), '--work-dir', str(tmp_path / 'test')]
    checkpoint = str(work_dir / 'epoch_1.pth')
    tool(sys.executable, str(ROOT / 'tools/test.py'), str(config), checkpoint, *common, '--dump',
         str(tmp_path / 'one.json'), '--show-dir', str(tmp_path / 'show'))
    tool('bash', str(ROOT / 'tools/dist_test.sh'), str(config), checkpoint, '2', *common, '--dump',
         str(tmp_path / 'two.json'))
    assert list((tmp_path / 'show').iterdir())
    scored = [file for file in (tmp_path / 'test').glob('*/*.json') if 'refer/mIoU' in file.read_text()]
    logged = [json.loads(file.read_text().splitlines()[-1]) for file in scored]
    tool(sys.executable, str(ROOT / 'tools/evaluate.py'), str(tmp_path / 'one.json'), '--json',
         str(tmp_path / 'again.json'))
    again = json.loads((tmp_path / 'again.json').read_text())
    assert len(logged) == 2
    for metrics in logged:
        assert metrics['refer/mIoU'] == again['mIoU']
        assert metrics['refer/P@0.5'] == again['P@0.5']
    one, two = read_dump(tmp_path / 'one.json'), read_dump(tmp_path / 'two.json')
    assert one.photos == two.photos


def test_two_processes_train_one_model(config, toyparts, tmp_path):
    done = subprocess.run(
        ['bash', str(ROOT / 'tools/dist_train.sh'), str(config), '2', '--data-root', str(toyparts), '--work-dir',
         str(tmp_path / 'dist'), '--seed', '3', '--cfg-options', 'train_cfg.max_epochs=1'],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, 'PYTHON': sys.executable, 'PORT': '29632', 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / 'dist/epoch_1.pth').is_file()
    assert 'refer/mIoU' in done.stdout


def test_a_cluster_that_signals_the_whole_group_gets_code_75(config, toyparts, tmp_path):
    script = tmp_path / 'preempted.py'
    script.write_text('import os, runpy, subprocess, sys\n'
                      'from mmpartref.engine import ResumableStateHook\n'
                      'def before_train_iter(self, runner, **kwargs):\n'
                      '    subprocess.run(["sh", "-c", f"trap : TERM; kill -TERM -{os.getpgrp()}"])\n'
                      'ResumableStateHook.before_train_iter = before_train_iter\n'
                      'sys.argv = sys.argv[1:]\n'
                      "runpy.run_path(sys.argv[0], run_name='__main__')\n")
    done = subprocess.run(
        [sys.executable, str(script), str(ROOT / 'tools/train.py'), str(config), '--data-root', str(toyparts),
         '--work-dir', str(tmp_path / 'run'), '--cfg-options', 'train_dataloader.num_workers=1',
         'train_dataloader.persistent_workers=True'],
        cwd=tmp_path, capture_output=True, text=True, check=False, start_new_session=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 75, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stderr.splitlines()[-1] == (
        f'stopped by SIGTERM after iteration 1; the state is in {tmp_path}/run/interrupted.pth: the same command with '
        '--resume goes on from there')
    assert (tmp_path / 'run/last_checkpoint').read_text() == f'{tmp_path}/run/interrupted.pth'


def test_cris_never_asks_for_compiled_operations(config, toyparts, tmp_path):
    """As on mmcv-lite, where ``mmcv.ops`` cannot be imported: train, validate and test with it blocked."""
    script = tmp_path / 'without_ops.py'
    script.write_text('import runpy, sys\n'
                      "sys.modules['mmcv.ops'] = sys.modules['mmcv._ext'] = None\n"
                      "sys.modules['mmseg.models'] = sys.modules['mmdet.models'] = None\n"
                      'sys.argv = sys.argv[1:]\n'
                      "runpy.run_path(sys.argv[0], run_name='__main__')\n")
    done = subprocess.run(
        [sys.executable, str(script), str(ROOT / 'tools/train.py'), str(config), '--data-root', str(toyparts),
         '--work-dir', str(tmp_path / 'lite'), '--cfg-options', 'train_cfg.max_epochs=1'],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / 'lite/epoch_1.pth').is_file()
