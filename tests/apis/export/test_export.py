"""Exported graphs against the model they came from, run the way a user runs them."""
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.export import export_graph as export_module
from mmpartref.apis.export import run_exported as exported_module
from mmpartref.apis.export.export_graph import evaluating, export_metadata, export_onnx, export_program
from mmpartref.apis.export.run_exported import TOLERANCE, compare_with_eager
from mmpartref.apis.model_building import load_segmentor
from mmpartref.errors import ExportError

ROOT = Path(__file__).parents[3]
ONNX_SIZE, PT2_SIZE = (64, 96), (96, 64)
# (N, M, U): one of each, more and less of each than of the others.
COUNTS = ((1, 1, 1), (2, 5, 3), (3, 2, 1), (1, 2, 6))
CONFIG = f"""
_base_ = {str(ROOT / 'configs/cris_tiny_toyparts.py')!r}
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)), text_encoder=dict(layers=1), decode_head=dict(num_layers=1, laterals=2),
    threshold=0.3)
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImage'), dict(type='Letterbox', size=(64, 96), half_pixel=True), dict(type='PackReferringInputs')]))
"""


@pytest.fixture(scope='module')
def export(run_script) -> Callable[..., None]:
    return partial(run_script, 'export')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """A config, and a checkpoint in which every weight and statistic changes the outputs."""
    folder = tmp_path_factory.mktemp('export')
    (folder / 'tiny.py').write_text(CONFIG)
    torch.manual_seed(1)
    model = load_segmentor(Config.fromfile(folder / 'tiny.py'), None)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.save({'state_dict': model.state_dict()}, folder / 'tiny.pth')
    return folder


@pytest.fixture
def model(folder):
    return load_segmentor(Config.fromfile(folder / 'tiny.py'), folder / 'tiny.pth')


@pytest.fixture(scope='module')
def onnx_file(folder, export) -> Path:
    export(folder / 'tiny.py', folder / 'tiny.pth', folder / 'tiny.onnx')
    return folder / 'tiny.onnx'


@pytest.fixture(scope='module')
def session(onnx_file) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(onnx_file), providers=['CPUExecutionProvider'])


@pytest.fixture(scope='module')
def pt2_file(folder, export) -> Path:
    export(folder / 'tiny.py', folder / 'tiny.pth', folder / 'tiny.pt2', '--size', *PT2_SIZE)
    return folder / 'tiny.pt2'


def make_inputs(size: tuple[int, int], counts: tuple[int, int, int]) -> dict[str, torch.Tensor]:
    images, rows, strings = counts
    tokens = torch.randint(1, 40000, (strings, 8))
    tokens[:, 0] = 49406
    for row in tokens:
        end = torch.randint(2, 8, ())
        row[end], row[end + 1:] = 49407, 0
    return {
        'images': torch.randn(images, 3, *size),
        'tokens': tokens,
        'image_index': torch.randint(images, (rows, )),
        'text_index': torch.randint(strings, (rows, )),
    }


def assert_rounding(result: torch.Tensor, model: nn.Module, inputs: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        expected = model.encode_decode(**inputs)
    assert result.shape == expected.shape
    assert (result - expected).abs().max() < 1e-4 * expected.std()


@pytest.mark.slow
@pytest.mark.parametrize('counts', COUNTS)
def test_onnxruntime_gives_the_models_outputs(session, model, counts):
    inputs = make_inputs(ONNX_SIZE, counts)
    logits = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
    assert_rounding(torch.from_numpy(logits), model, inputs)


@pytest.mark.slow
def test_a_loaded_program_gives_the_models_outputs_at_another_size(pt2_file, model):
    extra_files = {'metadata.json': ''}
    network = torch.export.load(pt2_file, extra_files=extra_files).module()
    facts = json.loads(extra_files['metadata.json'])
    assert (int(facts['height']), int(facts['width'])) == PT2_SIZE
    for counts in COUNTS:
        inputs = make_inputs(PT2_SIZE, counts)
        with torch.no_grad():
            assert_rounding(network(*inputs.values()), model, inputs)


@pytest.mark.slow
def test_onnx_has_named_axes_and_metadata(session):
    assert {each.name: each.shape for each in session.get_inputs()} == {
        'images': ['N', 3, 64, 96], 'tokens': ['U', 8], 'image_index': ['M'], 'text_index': ['M']}
    assert {each.name: each.shape for each in session.get_outputs()} == {'logits': ['M', 1, 16, 24]}
    facts = session.get_modelmeta().custom_metadata_map
    assert facts['config'] == 'tiny.py'
    assert facts['decode'] == 'aligned'
    numbers = {name: json.loads(fact) for name, fact in facts.items() if name not in ('config', 'decode')}
    assert {name: value for name, value in numbers.items() if name not in ('mean', 'std', 'fill')} == {
        'height': 64, 'width': 96, 'threshold': 0.3, 'word_length': 8, 'logit_stride': 4, 'half_pixel': True}
    assert numbers['mean'] == pytest.approx([122.771, 116.746, 104.094], abs=1e-3)
    assert numbers['std'] == pytest.approx([68.501, 66.632, 70.323], abs=1e-3)
    assert numbers['fill'] == pytest.approx(numbers['mean'])


def test_a_threshold_of_the_config_is_written(folder):
    config = Config.fromfile(folder / 'tiny.py')
    config.model.update(threshold=0.3, decode='cris')
    facts = export_metadata(load_segmentor(config, None), (64, 64), config)
    assert (facts['decode'], facts['threshold']) == ('cris', '0.3')


@pytest.mark.slow
def test_switches_that_are_not_exported_are_logged(folder, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr('mmpartref.apis.model_building.print_log', lambda line, *_: lines.append(line))
    config = Config.fromfile(folder / 'tiny.py')
    load_segmentor(config, None)
    assert lines == []
    config.model.update(zoom={}, amp=True)
    load_segmentor(config, None)
    assert lines == ['zoom is not part of the graph: the exported file makes one pass',
                     'amp is not part of the graph: the exported file computes in float32']


def test_the_documented_example_reproduces_the_inferencer(session, folder):
    example = re.search(r'```python\n(import.*?def segment.*?)```', (ROOT / 'docs/export.md').read_text(), re.DOTALL)
    names: dict = {}
    exec(example[1], names)
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    expressions = ['car tire', 'the head of the bird', 'car tire']
    masks = names['segment'](session, image, expressions)
    inferencer = PartReferInferencer(Config.fromfile(folder / 'tiny.py'), folder / 'tiny.pth', 'cpu')
    expected = np.stack([each['mask'] for each in inferencer(image, expressions)])
    assert 0.05 < expected.mean() < 0.95
    assert masks.shape == expected.shape
    # A probability next to the threshold may fall to either side.
    assert np.mean(masks != expected) < 1e-3


@pytest.mark.slow
def test_a_comparison_finds_other_weights(onnx_file, model):
    assert max(compare_with_eager(model, onnx_file, ONNX_SIZE).values()) < 0.1 * TOLERANCE
    nn.init.normal_(model.neck.out_conv[0].weight)
    assert min(compare_with_eager(model, onnx_file, ONNX_SIZE).values()) > TOLERANCE


@pytest.fixture
def differences(monkeypatch) -> dict[tuple[int, int], float]:
    """Input size -> what a check of its file, which is written without tracing, is to find."""
    found: dict[tuple[int, int], float] = {}
    monkeypatch.setattr(export_module, 'export_pt2', lambda model, path, size, config: path.write_text('a file'))
    monkeypatch.setattr(exported_module, 'compare_with_eager', lambda model, path, size: {(2, 5, 3): found[size]})
    return found


@pytest.mark.parametrize('difference', [2e-3, float('nan')])
def test_a_check_fails_above_rounding(folder, tmp_path, export, differences, capsys, difference):
    differences.update({(64, 96): difference, (96, 64): 1e-6})
    arguments = (folder / 'tiny.py', 'none', tmp_path / 'out.pt2', '--size', 64, 96, '--size', 96, 64)
    export(*arguments)
    with pytest.raises(SystemExit) as caught:
        export(*arguments, '--check')
    assert caught.value.code == 1
    assert f'N=2, M=5, U=3: differs by {difference:.1e}' in capsys.readouterr().out


def test_several_sizes_are_several_files_and_none_given_is_the_configs(folder, tmp_path, export, differences):
    differences.update({(64, 96): 0.5e-3, (96, 64): 1e-6})
    arguments = (folder / 'tiny.py', 'none', tmp_path / 'out.pt2', '--check')
    export(*arguments, '--size', 64, 96, '--size', 96, 64)
    assert sorted(each.name for each in tmp_path.iterdir()) == ['out_64x96.pt2', 'out_96x64.pt2']
    export(*arguments)
    assert (tmp_path / 'out.pt2').is_file()


def test_bad_calls_end_with_a_sentence(folder, tmp_path, monkeypatch, export):
    def sentence(*arguments: str | Path) -> str:
        with pytest.raises(SystemExit) as caught:
            export(*arguments)
        assert isinstance(caught.value.code, str)
        return caught.value.code

    config, weights, out = folder / 'tiny.py', folder / 'tiny.pth', tmp_path / 'out.onnx'
    assert 'must end in .onnx or .pt2' in sentence(config, weights, tmp_path / 'out.pth')
    assert 'size (64, 50) must be' in sentence(config, weights, out, '--size', '64', '50')
    assert 'opset 17 must be from 18 to' in sentence(config, weights, out, '--opset', '17')
    assert '--opset is for .onnx' in sentence(config, weights, tmp_path / 'out.pt2', '--opset', '18')
    assert 'there is no weights file' in sentence(config, tmp_path / 'none.pth', out)
    detector = ROOT / 'configs' / 'protocols/clip_zeroshot_r50_partimagenet.py'
    assert 'only a ReferringSegmentor can be exported' in sentence(detector, 'none', out)
    (tmp_path / 'bare.py').write_text("model = dict(type='ReferringSegmentor')\n")
    assert 'no Letterbox with a size' in sentence(tmp_path / 'bare.py', 'none', out)
    torch.save({'state_dict': {'backbone.conv1.weight': torch.zeros(1)}}, tmp_path / 'other.pth')
    assert 'does not fit the model' in sentence(config, tmp_path / 'other.pth', out)
    monkeypatch.setattr(export_module, 'ONNX_BYTES', 1000)
    assert 'export to .pt2' in sentence(config, weights, out)
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None if name.startswith('onnx') else name)
    assert sentence(config, weights, out) == 'export needs onnx and onnxscript: pip install mmpartref[export]'
    assert list(tmp_path.glob('out*')) == []


def test_python_calls_reject_other_models(tmp_path):
    with pytest.raises(ExportError, match='got a Linear'):
        export_program(nn.Linear(2, 2), (64, 64))
    with pytest.raises(ExportError, match='got a Linear'):
        export_onnx(nn.Linear(2, 2), tmp_path / 'out.onnx', (64, 64))


def test_modules_keep_their_modes():
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    network[1].eval()
    with evaluating(network):
        assert not network.training
        assert not network[0].training
        assert not torch.is_grad_enabled()
    assert [network.training, network[0].training, network[1].training] == [True, True, False]
