"""Mask R-CNN through the same tools as CRIS: train, kill, resume, test, dump, sweep, compare."""
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmpartref.apis import PartReferInferencer
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.errors import PreemptedError, WeightsError
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.full_mmcv
# Fast: few proposals, no workers.
CONFIG = f"""
_base_ = {str(ROOT / 'configs/toyparts/mask_rcnn_tiny_toyparts.py')!r}
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0)
train_cfg = dict(max_epochs=2, val_interval=1)
param_scheduler = [dict(type='MultiStepLR', milestones=[1], by_epoch=True)]
model = dict(score_threshold=0.051, detector=dict(
    train_cfg=dict(rpn_proposal=dict(max_per_img=30), rcnn=dict(sampler=dict(num=24))),
    test_cfg=dict(rpn=dict(max_per_img=30), rcnn=dict(score_thr=0.0, max_per_img=20))))
default_hooks = dict(logger=dict(interval=1))
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
"""


@pytest.fixture(scope='module')
def toyparts(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'toyparts'
    make_toyparts(root, splits={'train': 4, 'val': 2, 'test': 2}, size=(96, 72), seed=1)
    return root


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp('config') / 'tiny_detector.py'
    file.write_text(CONFIG)
    return file


def start(config: Path, data_root: Path, work_dir: Path, **more) -> Runner:
    cfg = load_config(config, data_root=str(data_root), work_dir=str(work_dir))
    cfg.merge_from_dict({'randomness': {'seed': 3}, 'experiment_name': f'{work_dir.name}_{len(more)}', **more})
    return build_runner(cfg)


def run_tool(tmp_path: Path, *args: str, check: bool = True) -> str:
    done = subprocess.run([sys.executable, *args], cwd=tmp_path, capture_output=True, text=True, check=False,
                          env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)})
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert check or done.returncode != 0
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def whole_record(training_record):
    """The record of the run in ``trained``."""
    return training_record()


@pytest.fixture(scope='module')
def trained(config, toyparts, tmp_path_factory, whole_record) -> tuple[Runner, Path]:
    work_dir = tmp_path_factory.mktemp('whole')
    runner = start(config, toyparts, work_dir)
    runner.register_hook(whole_record)
    with mmengine_checkpoints_allowed():
        runner.train()
    return runner, work_dir


@pytest.mark.slow
def test_it_trains_on_the_jsons_categories(trained, toyparts):
    runner, work_dir = trained
    written = json.loads((toyparts / 'annotations/train/train.json').read_text())['categories']
    assert [each.name for each in runner.model.vocabulary.categories] == [each['name'] for each in written]
    assert runner.train_dataloader.dataset.metainfo['classes'] == tuple(each['name'] for each in written)
    assert runner.model.detector.roi_head.bbox_head.num_classes == len(written)
    assert type(runner.train_dataloader.dataset.inner).__module__.startswith('mmdet.')
    assert (work_dir / 'epoch_2.pth').is_file()
    assert 0 <= runner.message_hub.get_scalar('val/refer/mIoU').current() <= 1


@pytest.mark.slow
def test_a_run_stopped_within_an_epoch_resumes_there(trained, whole_record, config, toyparts, tmp_path,
                                                     training_record):
    def stop(runner: Runner, *args: object, **kwargs: object) -> None:
        if runner.epoch == 1:
            signal.raise_signal(signal.SIGTERM)

    broken = start(config, toyparts, tmp_path / 'broken')
    broken.hooks[-1].before_train_iter = stop
    with pytest.raises(PreemptedError, match='after iteration 3;'):
        broken.train()
    saved = {name: value.clone() for name, value in broken.model.state_dict().items()}
    runner, resumed = start(config, toyparts, tmp_path / 'broken', resume=True), training_record()
    runner.register_hook(resumed)
    with mmengine_checkpoints_allowed():
        runner.train()
    # Exact: the weights are copied through the checkpoint.
    assert resumed.weights.keys() == saved.keys()
    assert all(torch.equal(value, saved[name]) for name, value in resumed.weights.items())
    assert list(resumed.steps) == [(1, 1)]
    # Rounding may change which proposals suppress each other, and so the loss by more than its last digits.
    resumed.assert_continues(whole_record, rtol=0.02)


@pytest.mark.e2e
def test_it_tests_dumps_sweeps_and_compares(trained, config, toyparts, tmp_path):
    checkpoint = str(trained[1] / 'epoch_2.pth')
    common = [str(ROOT / 'tools/test.py'), str(config), checkpoint, '--data-root', str(toyparts), '--work-dir',
              str(tmp_path / 'test'), '--candidates']
    text, oracle = tmp_path / 'text.json', tmp_path / 'oracle.json'
    instances = tmp_path / 'instances.json'
    run_tool(tmp_path, *common, '--dump', str(text), '--show-dir', str(tmp_path / 'show'), '--instances',
             str(instances))
    run_tool(tmp_path, *common, '--dump', str(oracle), '--split', 'val', '--cfg-options', 'model.resolver=oracle')
    assert list((tmp_path / 'show').iterdir())
    dump, by_oracle = read_dump(text), read_dump(oracle)
    assert dump.header['resolver'] == 'text'
    assert by_oracle.header['resolver'] == 'oracle'
    # ToyParts' expressions name their category, so reading them finds the oracle's category.
    assert by_oracle.header['ann_file'] == 'annotations/val/val.json'
    assert dump.header['parameters'] == sum(each.numel() for each in trained[0].model.parameters())
    assert dump.header['gflops_per_expression'] > 0
    assert dump.header['seconds_per_image'] > 0
    assert any(each.candidates for image in dump.images for each in image.expressions)

    run_tool(tmp_path, str(ROOT / 'tools/evaluate.py'), str(text), '--sweep', '--json', str(tmp_path / 'sweep.json'))
    swept = json.loads((tmp_path / 'sweep.json').read_text())
    assert swept['best_threshold'] in [float(each) for each in swept['thresholds']]
    run_tool(tmp_path, str(ROOT / 'tools/evaluate.py'), str(text), '--threshold', '0.051', '--json',
             str(tmp_path / 'same.json'), '--out', str(tmp_path / 'cut.json'))
    # Exact: cut again from the instances and scores of the same forward pass.
    assert [each.pred for image in read_dump(tmp_path / 'cut.json').images for each in image.expressions] == [
        each.pred for image in dump.images for each in image.expressions]
    shown = run_tool(tmp_path, str(ROOT / 'tools/compare.py'), str(text), str(tmp_path / 'cut.json'), '--resamples',
                     '50')
    assert 'mIoU' in shown

    # The instances give the same masks, read as those of any other program, and the detector's average precision.
    shown = run_tool(tmp_path, str(ROOT / 'tools/evaluate.py'), '--predictions', str(instances), '--ann-file',
                     str(toyparts / 'annotations/test/test.json'), '--rule', 'union', '--score-threshold',
                     str(dump.header['score_threshold']), '--ap', '--out', str(tmp_path / 'read.json'))
    assert 'part AP of instances, ' in shown
    masks, read = ({each.ref_id: each.pred for image in each.images for each in image.expressions}
                   for each in (dump, read_dump(tmp_path / 'read.json')))
    assert masks == read


@pytest.mark.slow
def test_a_checkpoint_predicts_on_any_image_without_a_json(trained, config):
    inferencer = PartReferInferencer(config, trained[1] / 'epoch_2.pth', 'cpu')
    categories = trained[0].model.vocabulary.categories
    assert inferencer.model.vocabulary.categories == categories
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    known, unknown = inferencer(image, [f'{categories[0].super_category} {categories[0].part}', 'the moon'])
    assert known['mask'].shape == unknown['mask'].shape == (48, 64)
    assert unknown['score'] == 0
    assert not unknown['mask'].any()


@pytest.mark.slow
def test_a_checkpoint_of_other_categories_is_rejected(trained, config, toyparts, tmp_path):
    checkpoint = torch.load(trained[1] / 'epoch_2.pth', weights_only=False)
    checkpoint['meta']['part_categories'][1]['name'] = 'Chair Leg'
    torch.save(checkpoint, tmp_path / 'other.pth')
    runner = start(config, toyparts, tmp_path / 'other', load_from=str(tmp_path / 'other.pth'))
    with mmengine_checkpoints_allowed(), pytest.raises(WeightsError, match="label 1 is 'Chair Leg' in the check"):
        runner.test()


def blocked(tmp_path: Path) -> str:
    """A launcher under which mmcv's operations cannot be imported, as with mmcv-lite."""
    script = tmp_path / 'without_ops.py'
    script.write_text('import runpy, sys\n'
                      "sys.modules['mmcv.ops'] = sys.modules['mmcv._ext'] = None\n"
                      'sys.argv = sys.argv[1:]\n'
                      "runpy.run_path(sys.argv[0], run_name='__main__')\n")
    return str(script)


@pytest.mark.e2e
def test_without_compiled_operations_one_sentence_names_the_extra(config, toyparts, tmp_path):
    shown = run_tool(tmp_path, blocked(tmp_path), str(ROOT / 'tools/train.py'), str(config), '--data-root',
                     str(toyparts), '--work-dir', str(tmp_path / 'lite'), check=False)
    last = shown.strip().splitlines()[-1]
    assert re.match(r"tiny_detector\.py needs mmdet and mmcv with compiled operations \(.*mmcv.*\); ", last), last
    assert "install 'mmpartref[all]'" in last
    assert 'Traceback' not in shown
