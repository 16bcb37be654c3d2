"""What a run needs outside its config is checked before anything is built."""
import http.server
import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.run_checks import (
    check_backends,
    check_config_stays,
    check_data,
    check_launcher,
    check_load_from,
    check_metrics,
    check_monitored,
    check_outputs,
    check_parts,
)
from mmpartref.errors import ConfigError, InputError, MissingFileError, MissingPackageError, WeightsError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(('launcher', 'variable'), [('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'),
                                                    ('mpi', 'OMPI_COMM_WORLD_RANK')])
def test_a_launcher_without_its_variables(launcher: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=f'--launcher {launcher} needs the environment variables {variable}, .*start'):
        check_launcher({'launcher': launcher})
    check_launcher({'launcher': 'none'})
    check_launcher({})


def test_a_launcher_lacks_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR'):
        monkeypatch.setenv(name, '1')
    monkeypatch.delenv('MASTER_PORT', raising=False)
    with pytest.raises(ConfigError, match='needs the environment variable MASTER_PORT, which'):
        check_launcher({'launcher': 'pytorch'})
    monkeypatch.setenv('MASTER_PORT', '1')
    check_launcher({'launcher': 'pytorch'})


@pytest.mark.parametrize(('backend', 'package'), [('WandbVisBackend', 'wandb'), ('MLflowVisBackend', 'mlflow'),
                                                  ('mmengine.TensorboardVisBackend', 'tensorboard')])
def test_a_backend_without_its_package(backend: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == package else find(name))
    cfg = Config({'visualizer': {'type': 'PartReferVisualizer', 'vis_backends': [{'type': backend}]}})
    with pytest.raises(MissingPackageError, match=f'needs the package {package}: pip install {package}'):
        check_backends(cfg)
    cfg.visualizer.vis_backends = [{'type': 'LocalVisBackend'}]
    check_backends(cfg)


@pytest.fixture
def server(no_network: object) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(int(self.path.strip('/')))
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{running.server_port}'
    running.shutdown()
    running.server_close()


def test_a_checkpoint_on_a_server(server: str) -> None:
    for status in (200, 403, 405):
        check_load_from({'load_from': f'{server}/{status}'})
    with pytest.raises(ConfigError, match=r'cannot be downloaded \(HTTP status 404\)'):
        check_load_from({'load_from': f'{server}/404'})
    for source in ('http://127.0.0.1:9/x.pth', 'http://', 'https://[bad/x.pth'):
        with pytest.raises(ConfigError, match='cannot be downloaded'):
            check_load_from({'load_from': source})


def test_a_checkpoint_on_the_disk(tmp_path: Path) -> None:
    torch.save({'state_dict': {}}, tmp_path / 'good.pth')
    check_load_from({'load_from': str(tmp_path / 'good.pth')})
    check_load_from({'load_from': 'torchvision://resnet50'})
    check_load_from({'load_from': str(tmp_path / 'missing.pth'), 'resume': True})
    with pytest.raises(MissingFileError, match=r'missing\.pth does not exist'):
        check_load_from({'load_from': str(tmp_path / 'missing.pth')})
    with pytest.raises(MissingFileError, match='is a folder; give the path'):
        check_load_from({'load_from': str(tmp_path)})
    with pytest.raises(ConfigError, match=r'the checkpoint s3://x/y\.pth cannot be read \(.*petrel'):
        check_load_from({'load_from': 's3://x/y.pth'})
    (tmp_path / 'bad.pth').write_text('text')
    with pytest.raises(WeightsError):
        check_load_from({'load_from': str(tmp_path / 'bad.pth')})


def test_missing_data_are_named_with_the_option(tmp_path: Path) -> None:
    dataset = {'type': 'PartReferDataset', 'data_root': str(tmp_path), 'ann_file': 'a.json',
               'data_prefix': {'img': 'images'}}
    cfg = {'train_dataloader': {'dataset': {'type': 'MixedReferDataset', 'datasets': [dataset]}}}
    check_data(cfg, 'val')
    with pytest.raises(MissingFileError, match=r'a\.json of train_dataloader does not exist; .*--data-root'):
        check_data(cfg, 'train')
    (tmp_path / 'a.json').touch()
    with pytest.raises(MissingFileError, match='images of train_dataloader does not exist'):
        check_data(cfg, 'train')
    (tmp_path / 'images').mkdir()
    check_data(cfg, 'train')


@pytest.mark.parametrize('name', ['refer/mIoU', 'refer/P@0.5', 'auto', 'refer/ann_cIoU', 'refer/mIoU_level_object',
                                  'refer/unseen_mIoU', ['refer/mIoU', 'refer/N_acc']])
def test_metrics_of_the_validation_can_be_monitored(name: object) -> None:
    check_monitored(Config({'val_evaluator': {'type': 'ReferringSegMetric'},
                            'default_hooks': {'checkpoint': {'type': 'AtomicCheckpointHook', 'save_best': name}}}))


@pytest.mark.parametrize('name', ['mIoU', 'nope', 'refer/nope', 'refer/P@0.65', ['refer/mIoU', 'x'], 'image/mAP'])
def test_other_metrics_cannot_be_monitored(name: object) -> None:
    cfg = Config({'val_evaluator': {'type': 'ReferringSegMetric'},
                  'default_hooks': {'checkpoint': {'type': 'CheckpointHook', 'save_best': name}}})
    with pytest.raises(ConfigError, match=r"is not a metric of the validation; give one, for example 'refer/mIoU'"):
        check_monitored(cfg)
    cfg.default_hooks = {}
    cfg.custom_hooks = [{'type': 'EarlyStoppingHook', 'monitor': name}]
    with pytest.raises(ConfigError, match='of EarlyStoppingHook is not a metric'):
        check_monitored(cfg)
    cfg.val_evaluator = [cfg.val_evaluator, {'type': 'SomeMetricOfTheUser'}]
    check_monitored(cfg)


def test_the_prefix_and_the_thresholds_of_the_config_count() -> None:
    cfg = Config({'val_evaluator': [{'type': 'ReferringSegMetric', 'prefix': 'x', 'precision_thresholds': [0.65]},
                                    {'type': 'PartPresenceMetric'}],
                  'default_hooks': {'checkpoint': {'type': 'CheckpointHook', 'save_best': ['x/P@0.65', 'image/mAP']}}})
    check_monitored(cfg)
    cfg.default_hooks.checkpoint.save_best = 'x/P@0.5'
    with pytest.raises(ConfigError, match="for example 'x/mIoU'"):
        check_monitored(cfg)


def test_two_metrics_of_one_prefix_are_rejected() -> None:
    cfg = Config({'val_evaluator': [{'type': 'ReferringSegMetric'}, {'type': 'ReferringSegMetric'}]})
    with pytest.raises(ConfigError, match="two metrics of the prefix 'refer/'"):
        check_monitored(cfg)
    cfg.val_evaluator[1].prefix = 'other'
    check_monitored(cfg)


@pytest.mark.parametrize('part', [('train_dataloader', 'train_cfg', 'optim_wrapper'),
                                  ('val_dataloader', 'val_cfg', 'val_evaluator'),
                                  ('test_dataloader', 'test_cfg', 'test_evaluator')])
def test_the_keys_of_a_part_are_there_together(part: tuple[str, ...]) -> None:
    check_parts(dict.fromkeys(part, 'something'))
    check_parts(dict.fromkeys(part))
    for name in part:
        with pytest.raises(ConfigError, match=f'and no {name}; set {name}, or all three to None'):
            check_parts({**dict.fromkeys(part, 'something'), name: None})


@pytest.mark.parametrize('model', ['ReferringSegmentor', 'ReferringDetector'])
@pytest.mark.parametrize('metric', [{'type': 'mmdet.CocoMetric'}, {'_scope_': 'mmseg', 'type': 'IoUMetric'}])
def test_metrics_of_other_predictions_are_rejected(model: str, metric: dict) -> None:
    cfg = {'model': {'type': model}, 'val_evaluator': [{'type': 'ReferringSegMetric'}, metric]}
    with pytest.raises(ConfigError, match='in val_evaluator cannot score the masks of expressions'):
        check_metrics(cfg, 'val')
    check_metrics({**cfg, 'val_evaluator': [{'type': 'ReferringSegMetric'}]}, 'val')
    check_metrics({**cfg, 'model': {'type': 'mmdet.MaskRCNN'}}, 'val')


def test_an_ann_file_of_another_type() -> None:
    with pytest.raises(ConfigError, match='the ann_file of train_dataloader is 5'):
        check_data({'train_dataloader': {'dataset': {'ann_file': 5}}}, 'train')


@pytest.fixture
def with_data(tmp_path: Path) -> Config:
    """A config with a base, a comment, a json and an image."""
    (tmp_path / 'images').mkdir()
    for name in ('images/a.jpg', 'a.json', 'a.pth'):
        (tmp_path / name).touch()
    (tmp_path / 'base.py').write_text(f"_base_ = {str(ROOT / 'configs/cris_tiny_toyparts.py')!r}\n")
    data = f"dict(dataset=dict(data_root={str(tmp_path)!r}, ann_file='a.json', data_prefix=dict(img='images')))"
    (tmp_path / 'c.py').write_text(f"_base_ = './base.py'  # mine\n"
                                   f"test_dataloader = {data}\nload_from = {str(tmp_path / 'a.pth')!r}\n")
    return load_config(tmp_path / 'c.py', work_dir=str(tmp_path / 'work'))


def test_outputs_are_not_what_the_config_reads(with_data: Config, tmp_path: Path) -> None:
    for name in ('c.py', 'base.py', 'a.json', 'a.pth', 'images/a.jpg', 'images/../a.json'):
        with pytest.raises(InputError, match='would be overwritten'):
            check_outputs(with_data, None, str(tmp_path / name))
    check_outputs(with_data, None, '-', str(tmp_path / 'images/new.jpg'), str(tmp_path / 'new.json'))


def test_the_copy_of_the_config_does_not_replace_it(with_data: Config, tmp_path: Path) -> None:
    check_config_stays(with_data)
    with_data.work_dir = str(tmp_path)
    with pytest.raises(InputError, match=r'is the folder of the config, which the copy of it .* would replace'):
        check_config_stays(with_data)
    for name in ('work.json', 'work.py'):
        with_data.dump(tmp_path / name)
        check_config_stays(load_config(tmp_path / name, work_dir=str(tmp_path)))
    text = (tmp_path / 'work.py').read_text()
    (tmp_path / 'work.py').write_text(text.replace('max_epochs=7', 'max_epochs=9'))
    again = load_config(tmp_path / 'work.py', work_dir=str(tmp_path))
    check_config_stays(again)
