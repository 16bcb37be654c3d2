"""The tools on a few drawn scenes: train, kill, resume, test, dump, score again, two processes."""
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from pycocotools import mask as coco_mask

from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.errors import PreemptedError
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed

ROOT = Path(__file__).parents[1]


@pytest.fixture
def config(tmp_path, tiny_model_cfg) -> Path:
    # Dropout on, so that resuming has random numbers to get right.
    tiny_model_cfg['decode_head']['dropout'] = 0.1
    file = tmp_path / 'tiny.py'
    file.write_text(f"_base_ = {str(ROOT / 'configs/cris_tiny_toyparts.py')!r}\n"
                    f'model = dict(_delete_=True, **{tiny_model_cfg!r})\n'
                    'train_dataloader = dict(batch_size=12, num_workers=0, persistent_workers=False)\n'
                    'val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)\n'
                    # One image a batch: what shares one depends on the number of processes, and rounding on that.
                    'test_dataloader = dict(batch_size=1, num_workers=0)\n'
                    'train_cfg = dict(max_epochs=2, val_interval=1)\n'
                    'default_hooks = dict(logger=dict(interval=1))\n'
                    "visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])\n")
    return file


def prepared(config: Path, data_root: Path, work_dir: Path, *, resume: bool = False, **options) -> Runner:
    cfg = load_config(config, options, data_root=str(data_root), work_dir=str(work_dir))
    cfg.randomness = {'seed': 3}
    cfg.resume = resume
    cfg.experiment_name = f'{work_dir.name}_{len(list(work_dir.glob("*")))}'
    return build_runner(cfg)


def tool(folder: Path, *args: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Run a program in a folder; returns what it printed."""
    done = subprocess.run([*args], cwd=folder, capture_output=True, text=True, check=False, start_new_session=True,
                          env={**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT),
                               **environment})
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def last_metrics(work_dir: Path) -> dict:
    """The metrics that a test wrote into a work dir."""
    (scored, ) = (file for file in work_dir.glob('test/*/*.json') if 'refer/mIoU' in file.read_text())
    return json.loads(scored.read_text().splitlines()[-1])


@pytest.mark.e2e
def test_training_resumes_and_its_dump_scores_again_and_by_two_processes(config, odd_toyparts, tmp_path,
                                                                         training_record, free_port):
    whole, stopped, resumed = (training_record() for _ in range(3))
    work_dir, broken = tmp_path / 'whole', tmp_path / 'broken'
    trained = prepared(config, odd_toyparts, work_dir)
    trained.register_hook(whole)
    trained.train()
    steps = len(whole.steps)
    assert {epoch for epoch, _ in whole.steps} == {0, 1}
    assert (work_dir / 'epoch_2.pth').is_file()
    assert list(work_dir.glob('best_refer_mIoU_epoch_*.pth'))
    assert 0 <= trained.message_hub.get_scalar('val/refer/mIoU').current() <= 1

    class Killed(Exception):
        pass

    def kill(runner: Runner, *args: object, **kwargs: object) -> None:
        if runner.epoch == 1:
            raise Killed

    runner = prepared(config, odd_toyparts, broken)
    runner.hooks[-1].after_train_iter = kill
    with pytest.raises(Killed):
        runner.train()

    # Then it gets SIGTERM within the second epoch, and goes on there with a loading process.
    runner = prepared(config, odd_toyparts, broken, resume=True)
    runner.register_hook(stopped)
    runner.hooks[-1].before_train_iter = lambda *args, **kwargs: signal.raise_signal(signal.SIGTERM)
    with mmengine_checkpoints_allowed(), pytest.raises(PreemptedError):
        runner.train()
    assert list(stopped.steps) == [(1, 0)]
    saved = {name: value.clone() for name, value in runner.model.state_dict().items()}

    runner = prepared(config, odd_toyparts, broken, resume=True, **{'train_dataloader.num_workers': 1})
    runner.register_hook(resumed)
    with mmengine_checkpoints_allowed():
        runner.train()
    # Exact: the weights are copied through the checkpoint.
    assert resumed.weights.keys() == saved.keys()
    assert all(torch.equal(value, saved[name]) for name, value in resumed.weights.items())
    resumed.assert_continues(whole)
    assert len(resumed.steps) == steps // 2 - 1
    assert stopped.losses[1, 0] == pytest.approx(whole.losses[1, 0], rel=1e-4)

    # The tools test the checkpoint, in one process and in two, and score the dump.
    checkpoint, one, two = str(work_dir / 'epoch_2.pth'), tmp_path / 'one', tmp_path / 'two'
    tool(tmp_path, sys.executable, str(ROOT / 'tools/test.py'), str(config), checkpoint, '--data-root',
         str(odd_toyparts), '--work-dir', str(one), '--dump', f'{one}.json', '--show-dir', str(tmp_path / 'show'))
    tool(tmp_path, 'bash', str(ROOT / 'tools/dist_test.sh'), str(config), checkpoint, '2', '--data-root',
         str(odd_toyparts), '--work-dir', str(two), '--dump', f'{two}.json', PORT=free_port)
    assert list((tmp_path / 'show').iterdir())
    for name in (one, two):
        tool(tmp_path, sys.executable, str(ROOT / 'tools/evaluate.py'), f'{name}.json', '--json',
             str(tmp_path / 'again.json'))
        metrics, again = last_metrics(name), json.loads((tmp_path / 'again.json').read_text())
        # Exact: both are computed from the masks of one forward pass.
        assert metrics['refer/mIoU'] == again['mIoU']
        assert metrics['refer/P@0.5'] == again['P@0.5']
    assert_same_predictions(read_dump(f'{one}.json').images, read_dump(f'{two}.json').images)


def assert_same_predictions(images: list, others: list) -> None:
    """Check that two forward passes gave the same masks, but for pixels that rounding moves across the threshold."""
    assert len(images) == len(others) == 3
    for image, other in zip(images, others, strict=True):
        assert (image.img_id, image.ori_shape) == (other.img_id, other.ori_shape)
        for one, two in zip(image.expressions, other.expressions, strict=True):
            assert (one.ref_id, one.expression, one.truth) == (two.ref_id, two.expression, two.truth)
            assert (coco_mask.decode(one.pred) != coco_mask.decode(two.pred)).mean() < 5e-3
            assert one.score == pytest.approx(two.score, abs=5e-3)


@pytest.mark.e2e
def test_two_processes_train_one_model(config, odd_toyparts, tmp_path, free_port):
    done = tool(tmp_path, 'bash', str(ROOT / 'tools/dist_train.sh'), str(config), '2', '--data-root',
                str(odd_toyparts), '--work-dir', str(tmp_path / 'dist'), '--seed', '3', '--cfg-options',
                'train_cfg.max_epochs=1', PORT=free_port)
    assert (tmp_path / 'dist/epoch_1.pth').is_file()
    assert 'refer/mIoU' in done.stdout
    # The first process alone prints, without the warnings of torchrun and mmengine about threads.
    once = ['  config  ', 'iteration 1 of ', 'done; next:']
    once += [] if torch.cuda.is_available() else ['no CUDA device']
    assert {text: done.stdout.count(text) for text in once} == dict.fromkeys(once, 1)
    assert 'Hooks will be executed' not in done.stdout
    assert 'NUM_THREADS' not in done.stdout + done.stderr
    test = next(line for line in done.stdout.splitlines() if 'test.py' in line)
    assert 'refer/mIoU' in tool(tmp_path, *shlex.split(test)).stdout


@pytest.mark.e2e
def test_a_cluster_that_signals_the_whole_group_gets_code_75(config, odd_toyparts, tmp_path):
    script = tmp_path / 'preempted.py'
    script.write_text('import os, runpy, subprocess, sys\n'
                      'from mmpartref.engine import ResumableStateHook\n'
                      'def before_train_iter(self, runner, **kwargs):\n'
                      '    subprocess.run(["sh", "-c", f"trap : TERM; kill -TERM -{os.getpgrp()}"])\n'
                      'ResumableStateHook.before_train_iter = before_train_iter\n'
                      'sys.argv = sys.argv[1:]\n'
                      "runpy.run_path(sys.argv[0], run_name='__main__')\n")
    done = tool(tmp_path, sys.executable, str(script), str(ROOT / 'tools/train.py'), str(config), '--data-root',
                str(odd_toyparts), '--work-dir', str(tmp_path / 'run'), '--cfg-options',
                'train_dataloader.num_workers=1', 'train_dataloader.persistent_workers=True', check=False)
    assert done.returncode == 75, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stderr.splitlines()[-1] == (
        f'preempted by SIGTERM after iteration 1; the state is in {tmp_path}/run/interrupted.pth; run the same '
        'command with --resume')
    assert (tmp_path / 'run/last_checkpoint').read_text() == f'{tmp_path}/run/interrupted.pth'


@pytest.mark.e2e
def test_cris_does_not_need_compiled_operations(config, odd_toyparts, tmp_path):
    """As on mmcv-lite, where ``mmcv.ops`` cannot be imported: train, validate and test with it blocked."""
    script = tmp_path / 'without_ops.py'
    script.write_text('import runpy, sys\n'
                      "sys.modules['mmcv.ops'] = sys.modules['mmcv._ext'] = None\n"
                      "sys.modules['mmseg.models'] = sys.modules['mmdet.models'] = None\n"
                      'sys.argv = sys.argv[1:]\n'
                      "runpy.run_path(sys.argv[0], run_name='__main__')\n")
    tool(tmp_path, sys.executable, str(script), str(ROOT / 'tools/train.py'), str(config), '--data-root',
         str(odd_toyparts), '--work-dir', str(tmp_path / 'lite'), '--cfg-options', 'train_cfg.max_epochs=1')
    assert (tmp_path / 'lite/epoch_1.pth').is_file()
