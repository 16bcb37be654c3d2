import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mmpartref.benchmark.clock import measure, peak_memory
from mmpartref.benchmark.published_cris import load_published
from mmpartref.benchmark.workload import (
    flops_by_part,
    infer,
    infer_one_by_one,
    make_batch,
    switched,
)
from mmpartref.registry import MODELS

ROOT = Path(__file__).parents[2]
# Replaces a checkout: takes CLIP's archive and the settings as the published class does, and stores the weights.
CHECKOUT = """
import torch
from torch import nn


class CRIS(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        clip = torch.jit.load(cfg.clip_pretrain, map_location='cpu').eval().state_dict()
        self.names = sorted(clip)
        self.cfg = cfg
        self.weight = nn.Parameter(torch.ones(1))

    def load_state_dict(self, state, strict=True):
        self.loaded = state

    def forward(self, img, word, mask=None):
        pred = img[:, :1, ::4, ::4] * self.weight
        return (pred, mask, pred.square().mean()) if self.training else pred
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    (tmp_path / 'model').mkdir()
    for name in ('__init__', 'clip', 'layers'):
        (tmp_path / f'model/{name}.py').touch()
    (tmp_path / 'model/segmenter.py').write_text('from loguru import logger\n' + CHECKOUT)
    return tmp_path


@torch.no_grad()
def test_every_way_of_computing_gives_the_same_logits(tiny_model_cfg):
    model = MODELS.build(tiny_model_cfg).eval()
    batch = make_batch(model, 2, 3, 64)
    assert len({tuple(row) for row in batch.tokens.tolist()}) == 6
    expected = infer(model, batch)
    torch.testing.assert_close(infer_one_by_one(model, batch), expected, rtol=1e-4, atol=1e-5)
    for name in ('projector at full resolution', 'neck over repeated maps', 'channels-last memory'):
        with switched(model, name):
            found = infer(model, batch)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (model.decode_head.projector.low_resolution, model.neck.split_maps, model.channels_last) == (
        True, True, False)


def test_parts_add_up_and_the_short_cuts_save_operations(tiny_model_cfg):
    model = MODELS.build(tiny_model_cfg).eval()
    batch = make_batch(model, 1, 4, 64)
    counted = flops_by_part(model, lambda: infer(model, batch))
    assert sum(each for part, each in counted.items() if part != 'all') == counted['all']
    assert all(counted.values())
    with switched(model, 'projector at full resolution'):
        full = flops_by_part(model, lambda: infer(model, batch))
    assert full['projector'] > 1.5 * counted['projector']
    repeated = flops_by_part(model, lambda: infer_one_by_one(model, batch))
    assert repeated['image encoder'] == 4 * counted['image encoder']


def test_cases_take_turns_after_one_run_that_is_not_timed():
    calls = []
    found = measure({'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, 2, torch.device('cpu'))
    assert calls == ['a', 'b', 'a', 'b', 'b', 'a']
    assert 0 <= found['a'].fastest <= found['a'].seconds


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems do not tell a process its peak')
def test_the_peak_is_the_memory_of_the_case():
    needed = peak_memory(lambda: torch.ones(64 * 2**20 // 4).sum(), torch.device('cpu'))
    # The allocator and other threads add a little to 64 MiB, and the system may count pages late.
    assert needed is None or 48 <= needed <= 128


def test_a_checkout_gets_our_weights(tiny_model_cfg, checkout):
    model = MODELS.build(tiny_model_cfg)
    published = load_published(checkout, model)
    assert isinstance(published, nn.Module)
    assert not published.training
    assert torch.equal(published.loaded['decoder.norm.weight'], model.decode_head.decoder.norm.weight)
    assert 'visual.conv1.weight' in published.names
    assert not any('connect' in name for name in published.names)
    assert published.cfg.word_len == model.text_encoder.tokenizer.length
    assert 'model' not in sys.modules or sys.modules['model'].__file__ != str(checkout / 'model/__init__.py')
    with pytest.raises(FileNotFoundError, match=r'not a checkout of the published CRIS \(no model/segmenter\.py\)'):
        load_published(checkout / 'model', model)


@pytest.mark.slow
def test_the_tool_times_all_sections(monkeypatch, run_tool, tmp_path, checkout):
    out = tmp_path / 'out.json'
    monkeypatch.setattr('mmpartref.benchmark.clock.CEILING_SIDE', 128)
    shown = run_tool('benchmark', ROOT / 'configs/cris_tiny_toyparts.py', '--size', 64, '--repeats', 1, '--expressions',
                     1, 2, '--train-images', 1, '--train-expressions', 2, '--threads', torch.get_num_threads(),
                     '--device', 'cpu', '--json', out, '--reference', checkout, '--bf16')
    assert 'pixels on the same side of the threshold' in shown
    written = json.loads(out.read_text())
    assert {row['section'] for row in written['rows']} == {'inference', 'switches', 'training'}
    assert [row['expressions'] for row in written['rows'] if row['case'] == 'published'] == [1, 2, 2]
    assert set(written['gflops']) == {'1', '2'}
    for row in written['rows']:
        assert row['seconds'] >= row['fastest'] > 0
