"""Absent parts from the config to the score: train, resume, test, dump, calibrate, all on a few drawn scenes."""
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.engine.launch.prediction_dump import add_dump
from mmpartref.errors import ConfigError
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.dumps.predictions import read_sample
from mmpartref.evaluation.scoring.iou_metrics import summarise
from mmpartref.evaluation.scoring.presence import summarise_presence
from mmpartref.evaluation.scoring.presence_threshold import calibrate
from mmpartref.evaluation.scoring.score_dump import score_absent_parts, score_dump
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed
from mmpartref.registry import DATASETS, MODELS

CONFIGS = Path(__file__).parents[1] / 'configs'
ALONE = {'num_workers': 0, 'persistent_workers': False}
SMALL = {f'{split}_dataloader.dataset.pipeline.{place}.size': 64 for split, place in (('train', 3), ('val', 1),
                                                                                      ('test', 1))}


@pytest.fixture
def config(tmp_path, tiny_model_cfg) -> Path:
    tiny_model_cfg['decode_head'].update(presence_head={'type': 'PresenceHead'}, dropout=0.1)
    file = tmp_path / 'tiny_absent.py'
    file.write_text(f"_base_ = {str(CONFIGS / 'toyparts/cris_tiny_toyparts_absent.py')!r}\n"
                    f'model = dict(_delete_=True, **{tiny_model_cfg!r})\n'
                    f'train_dataloader = dict(batch_size=12, **{ALONE!r})\n'
                    f'val_dataloader = dict(batch_size=2, **{ALONE!r})\n'
                    'test_dataloader = dict(batch_size=2, num_workers=0)\n'
                    'train_cfg = dict(max_epochs=2, val_interval=1)\n'
                    'default_hooks = dict(logger=dict(interval=1))\n'
                    "visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])\n")
    return file


def prepared(config: Path, data_root: Path, work_dir: Path, **options) -> Config:
    cfg = load_config(config, {**SMALL, **options}, data_root=str(data_root), work_dir=str(work_dir))
    cfg.randomness = {'seed': 3}
    cfg.experiment_name = f'{work_dir.parent.name}_{work_dir.name}_{len(list(work_dir.glob("*")))}'
    return cfg


def run(cfg: Config, record: Hook, *, resume: bool = False) -> Runner:
    cfg.resume = resume
    runner = build_runner(cfg)
    runner.register_hook(record)
    with mmengine_checkpoints_allowed():
        runner.train()
    return runner


def logged(work_dir: Path) -> list[dict]:
    return [json.loads(line) for file in sorted(work_dir.glob('*/vis_data/scalars.json'))
            for line in file.read_text().splitlines()]


@pytest.mark.slow
def test_it_trains_on_absent_parts_resumes_and_measures_them(config, odd_toyparts, tmp_path, training_record):
    whole, resumed = training_record(), training_record()
    trained = run(prepared(config, odd_toyparts, tmp_path / 'whole'), whole)
    rows = [row for row in logged(tmp_path / 'whole') if 'loss' in row]
    assert all(row['loss_presence'] > 0 for row in rows)
    assert all(row['loss'] == pytest.approx(row['loss_presence'] + row['loss_text_to_pixel'], abs=1e-3) for row in rows)
    validated = [row for row in logged(tmp_path / 'whole') if 'refer/N_acc' in row]
    assert len(validated) == 2
    assert validated[0].keys() >= {'refer/mIoU', 'refer/T_acc', 'refer/gIoU', 'refer/presence_AUC',
                                   'refer/N_acc_other', 'refer/N_acc_impossible'}

    class Killed(Exception):
        pass

    def kill(runner: Runner, *args: object, **kwargs: object) -> None:
        if runner.epoch == 1:
            raise Killed

    runner = build_runner(prepared(config, odd_toyparts, tmp_path / 'broken'))
    runner.hooks[-1].after_train_iter = kill
    with pytest.raises(Killed):
        runner.train()
    run(prepared(config, odd_toyparts, tmp_path / 'broken'), resumed, resume=True)
    resumed.assert_continues(whole)
    assert len(resumed.steps) == len(trained.train_dataloader)


@pytest.mark.slow
def test_a_dump_scores_exactly_as_the_test_printed(config, odd_toyparts, tmp_path):
    cfg = prepared(config, odd_toyparts, tmp_path / 'test')
    cfg.load_from = None
    cfg.default_hooks.visualization.update(out_dir=str(tmp_path / 'show'))
    add_dump(cfg, str(tmp_path / 'dump.json'))
    found = build_runner(cfg).test()
    dump = read_dump(tmp_path / 'dump.json')
    scores = score_dump(dump) + score_absent_parts(dump)
    again = {**summarise(score_dump(dump)), **summarise_presence(scores)}
    # Exact: both are computed from the predictions of one forward pass.
    assert {key.removeprefix('refer/'): value for key, value in found.items()} == again
    assert dump.header['absent'] == "AbsentParts(number=3, kinds=['impossible', 'other', 'unannotated'], seed=0)"
    assert again['absent_impossible'] + again['absent_other'] >= 6
    assert list((tmp_path / 'show').iterdir())
    assert 0 <= calibrate(scores).threshold <= 1


@pytest.mark.slow
def test_one_item_per_expression_gives_the_same_predictions(config, odd_toyparts, tmp_path):
    cfg = prepared(config, odd_toyparts, tmp_path)
    predictions = []
    with DefaultScope.overwrite_default_scope('mmpartref'), torch.no_grad():
        model = MODELS.build(cfg.model).eval()
        for group_by in ('image', 'expression'):
            dataset = DATASETS.build({**cfg.test_dataloader.dataset, 'group_by': group_by})
            found = {}
            for item in (dataset[index] for index in range(len(dataset))):
                batch = {key: [value] for key, value in item.items()}
                sample = model(**model.data_preprocessor(batch), mode='predict')[0]
                for each in read_sample(sample.to_dict()).expressions:
                    found[each.ref_id] = each
            predictions.append(found)
    assert predictions[0].keys() == predictions[1].keys()
    assert sum(each.absent is not None for each in predictions[0].values()) >= 6
    for ref_id, one in predictions[0].items():
        other = predictions[1][ref_id]
        assert (one.absent, one.expression) == (other.absent, other.expression)
        assert one.presence == pytest.approx(other.presence, rel=1e-4)


@pytest.mark.parametrize('name', ['cris_tiny_toyparts.py', 'cris_r50_partimagenet.py'])
def test_the_switch_is_one_option(name):
    cfg = load_config(CONFIGS / name, {'train_dataloader.dataset.entries.absent.number': 1})
    assert cfg.train_dataloader.dataset.entries.absent == {'number': 1}
    with pytest.raises(ConfigError, match="the nearest valid key is 'entries'"):
        load_config(CONFIGS / name, {'train_dataloader.dataset.entires.absent.number': 1})


@pytest.mark.parametrize(('leaf', 'base'), [('toyparts/cris_tiny_toyparts_absent.py', 'cris_tiny_toyparts.py'),
                                            ('absent/cris_r50_absent_partimagenet.py',
                                             'cris/cris_r50_aligned_partimagenet.py')])
def test_the_leaf_configs_differ_by_absent_parts_alone(leaf, base):
    leaf_cfg, base_cfg = (Config.fromfile(CONFIGS / name).to_dict() for name in (leaf, base))
    assert leaf_cfg['model']['decode_head'].pop('presence_head') == {'type': 'PresenceHead'}
    for split, kinds in (('train', None), ('val', 3), ('test', 3)):
        absent = leaf_cfg[f'{split}_dataloader']['dataset'].pop('entries')['absent']
        assert len(absent.get('kinds', ())) == (kinds or 0)
    assert leaf_cfg == base_cfg
