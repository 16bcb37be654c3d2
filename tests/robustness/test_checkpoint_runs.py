"""tools/test.py, --resume, load_from and the inferencer read a checkpoint alike, or end with one sentence."""
import copy
import runpy
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from safetensors.torch import save_file
from torch import nn

from mmpartref.apis import PartReferInferencer
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.errors import WeightsError
from mmpartref.models.weights.cris_keys import to_published
from mmpartref.registry import MODELS

TOOL = str(Path(__file__).parents[2] / 'tools' / 'test.py')


@pytest.fixture
def config(tiny_config: Callable[[str], Path]) -> Path:
    # Without StrictLoadHook, as a user's custom_hooks may be.
    return tiny_config("custom_hooks = [dict(type='DatasetEpochHook')]")


@pytest.fixture
def model(config: Path) -> nn.Module:
    torch.manual_seed(3)
    with DefaultScope.overwrite_default_scope('mmpartref'):
        return MODELS.build(Config.fromfile(config).model)


def run_tool(config: Path, scenes: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, 'argv', [TOOL, str(config), str(checkpoint), '--data-root', str(scenes), '--work-dir',
                                      str(checkpoint.parent / checkpoint.stem), *options])
    runpy.run_path(TOOL, run_name='__main__')


def loaded_by_a_run(config: Path, scenes: Path, checkpoint: Path) -> dict[str, torch.Tensor]:
    """The model's state as the test of a run begins."""
    cfg = load_config(config, data_root=str(scenes), work_dir=str(checkpoint.parent / checkpoint.stem / 'run'))
    cfg.load_from, cfg.experiment_name = str(checkpoint), f'{checkpoint.stem}_{checkpoint.parent.name}'
    runner = build_runner(cfg)
    runner.test_loop.run = lambda: runner.call_hook('before_test')
    runner.test()
    return runner.model.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


WRAPPED: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    'nested': lambda state: {'best_acc1': torch.tensor(1.), 'model': {'model_state_dict': state}},
    'compiled_inside': lambda state: {name.replace('.', '._orig_mod.', 1): value for name, value in state.items()},
    'published': lambda state: {'state_dict': {f'module.{name}': value for name, value in to_published(state).items()}},
    'text_in_meta': lambda state: {'meta': 'from elsewhere', 'module': state},
}


@pytest.mark.parametrize('kind', [*WRAPPED, 'safetensors'])
def test_a_run_and_the_inferencer_read_the_same_weights(kind: str, config: Path, model: nn.Module, scenes: Path,
                                                        tmp_path: Path) -> None:
    state, path = model.state_dict(), tmp_path / f'{kind}.pth'
    if kind == 'safetensors':
        path = path.with_suffix('.safetensors')
        save_file(state, path)
    else:
        torch.save(WRAPPED[kind](state), path)
    assert same(PartReferInferencer(config, path, 'cpu').model.state_dict(), state)
    assert same(loaded_by_a_run(config, scenes, path), state)


def test_averaged_weights_are_loaded_by_their_key(config: Path, model: nn.Module, tmp_path: Path) -> None:
    averaged = {f'module.{name}': value + 1 for name, value in model.state_dict().items()}
    path = tmp_path / 'averaged.pth'
    torch.save({'state_dict': model.state_dict(), 'ema_state_dict': averaged}, path)
    found = PartReferInferencer(config, path, 'cpu', weights_key='ema_state_dict').model.state_dict()
    assert same({f'module.{name}': value for name, value in found.items()}, averaged)


def flip_a_bit(path: Path) -> None:
    """Flip a bit in the largest tensor of an archive."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda each: each.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + 200 + largest.file_size // 2] ^= 64
    path.write_bytes(content)


DAMAGED: dict[str, Callable[[torch.Tensor], Any]] = {
    'sparse': lambda value: value.to_sparse(),
    'nan': lambda value: value * torch.nan,
    'integer': lambda value: value.long(),
    'flipped': lambda value: value,
}


@pytest.mark.parametrize('kind', DAMAGED)
def test_damaged_weights_are_rejected_by_every_way_in(kind: str, config: Path, model: nn.Module, scenes: Path,
                                                      tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, path = copy.copy(model.state_dict()), tmp_path / f'{kind}.pth'
    name = 'decode_head.projector.kernel.weight'
    state[name] = DAMAGED[kind](state[name])
    torch.save({'meta': {'epoch': 1, 'iter': 3}, 'state_dict': state}, path)
    if kind == 'flipped':
        flip_a_bit(path)
    with pytest.raises(WeightsError) as caught:
        PartReferInferencer(config, path, 'cpu')
    assert '\n' not in str(caught.value)
    with pytest.raises(SystemExit) as ended:
        run_tool(config, scenes, path, monkeypatch)
    assert '\n' not in str(ended.value.code)
    for message in (str(caught.value), str(ended.value.code)):
        assert ('checksum' if kind == 'flipped' else name) in message


def test_a_checkpoint_of_another_config_is_explained(config: Path, tiny_config: Callable[[str], Path], scenes: Path,
                                                     tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Config.fromfile(config).model
    other.decode_head.num_layers += 2
    with DefaultScope.overwrite_default_scope('mmpartref'):
        torch.save({'state_dict': MODELS.build(other).state_dict()}, tmp_path / 'other.pth')
    with pytest.raises(WeightsError, match=r"another number of layers, e.g. in 'decode_head.decoder.layers'"):
        PartReferInferencer(config, tmp_path / 'other.pth', 'cpu')
    with pytest.raises(SystemExit, match=r"another number of layers, e.g. in 'decode_head.decoder.layers'"):
        run_tool(config, scenes, tmp_path / 'other.pth', monkeypatch)


def test_a_plain_runner_resumes_and_loads(config: Path, scenes: Path, tmp_path: Path) -> None:
    def plain(work_dir: str, **changes: object) -> Runner:
        cfg = Config.fromfile(config)
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            cfg[name].dataset.data_root = str(scenes)
        cfg.merge_from_dict({'work_dir': str(tmp_path / work_dir),
                             'experiment_name': f'plain_{work_dir}_{len(changes)}',
                             'optim_wrapper.type': 'SkipNonFiniteOptimWrapper', **changes})
        return Runner.from_cfg(cfg)

    plain('one').train()
    resumed = plain('one', resume=True, **{'train_cfg.max_epochs': 2})
    resumed.train()
    assert resumed.epoch == 2
    loaded = plain('two', load_from=str(tmp_path / 'one/epoch_2.pth'))
    loaded.load_or_resume()
    assert same(loaded.model.state_dict(), resumed.model.state_dict())
