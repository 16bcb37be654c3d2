"""Mutated states of runs, config texts, locks and pointers: resumed without an error, or rejected in one sentence."""
import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import JUNK, Tally, mutate, places
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from mmpartref.engine.resume.resume_point import choose_resume_point, last_checkpoint, resume_fault
from mmpartref.engine.resume.resumed_checkpoint import check_resumed, state_fault
from mmpartref.engine.resume.resumed_config import differences, parse_config
from mmpartref.engine.resume.work_dir_lock import LOCK, describe_process, work_dir_lock
from mmpartref.errors import MMPartRefError, WeightsError

AT_LEAST = 1000
MORE = int(os.environ.get('FUZZ', '1'))
OTHER = [*JUNK, torch.zeros(7), torch.zeros(()), torch.full((3, 2), torch.nan), (), (1, 2), {0: 1}]
CONFIG = """
model = dict(type='A', size=(1, 2), head=dict(loss=dict(type='B', weight=-1.5)), init_cfg=None)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3), paramwise_cfg={'custom_keys': {'a.b': dict(lr_mult=0.1)}})
train_dataloader = dict(dataset=dict(ann_file='a/b.json', pipeline=[dict(type='C'), dict(type='D', n=1)]))
"""


class Run:
    """Model, optimiser and schedules of a run, after two steps of which ``checkpoint`` is the state."""

    def __init__(self, make: Callable[[Any], torch.optim.Optimizer]) -> None:
        torch.manual_seed(0)
        self.layer = nn.Linear(2, 3)
        self.optim_wrapper = OptimWrapper(make(self.layer.parameters()))
        self.param_schedulers = [
            PARAM_SCHEDULERS.build(each, default_args={'optimizer': self.optim_wrapper})
            for each in (dict(type='LinearLR', end=9, by_epoch=False), dict(type='MultiStepLR', milestones=[2, 5]))]

    def step(self) -> None:
        self.optim_wrapper.update_params(self.layer(torch.ones(4, 2)).square().sum())
        for scheduler in self.param_schedulers:
            scheduler.step()

    def checkpoint(self) -> dict:
        for _ in range(2):
            self.step()
        hub = MessageHub('before')
        hub.update_scalar('train/loss', 0.5)
        hub.update_info('iter', 2)
        return {
            'meta': {'epoch': 1, 'iter': 2, 'seed': 3}, 'state_dict': dict(self.layer.state_dict()),
            'message_hub': copy.deepcopy(hub.state_dict()), 'optimizer': copy.deepcopy(self.optim_wrapper.state_dict()),
            'param_schedulers': [dict(each.state_dict()) for each in self.param_schedulers],
            'resumable_state': {'batches_done': 0, 'batches': 2, 'validation_due': True, 'world_size': 1,
                                'sampler_seed': 5, 'buffers': []}}

    def resume(self, checkpoint: dict) -> None:
        """Do with a checkpoint what mmengine's runner does."""
        check_resumed(self, checkpoint)
        self.optim_wrapper.load_state_dict(checkpoint['optimizer'])
        for scheduler, state in zip(self.param_schedulers, checkpoint['param_schedulers'], strict=True):
            scheduler.load_state_dict(state)
        self.step()


@pytest.mark.parametrize('make', [torch.optim.AdamW, lambda each: torch.optim.AdamW(each, fused=True),
                                  lambda each: torch.optim.SGD(each, lr=0.1, momentum=0.9), torch.optim.RMSprop])
def test_a_mutated_state_is_resumed_or_rejected(make: Callable, tally: Tally) -> None:
    rng = np.random.default_rng(0)
    original = Run(make).checkpoint()
    Run(make).resume(copy.deepcopy(original))
    everywhere = [place for place in places(original) if place[0] not in ('state_dict', 'message_hub')]
    for _ in range(120 * MORE):
        checkpoint = copy.deepcopy(original)
        for _ in range(int(rng.integers(1, 3))):
            place = everywhere[rng.integers(len(everywhere))]
            mutate(checkpoint, place, rng.choice(['delete', 'replace', 'replace', 'twice']),
                   copy.deepcopy(OTHER[rng.integers(len(OTHER))]))
        run = Run(make)
        tally.attempt(lambda run=run, checkpoint=checkpoint: run.resume(checkpoint))


@pytest.mark.parametrize('key', ['epoch', 'iter'])
@pytest.mark.parametrize('value', [-1, -2**63, 2**70, 1.0, '3', True, None, [], float('nan')])
def test_a_place_that_is_not_a_count_is_named(key: str, value: Any) -> None:
    checkpoint = Run(torch.optim.AdamW).checkpoint()
    checkpoint['meta'][key] = value
    assert f'({"epoch" if key == "epoch" else "epoch 1, iter"} ' in state_fault(checkpoint)
    del checkpoint['meta'][key]
    assert f'{key} missing' in state_fault(checkpoint)
    with pytest.raises(WeightsError, match='as whole numbers'):
        check_resumed(SimpleNamespace(), checkpoint)


def test_a_mutated_config_text_is_parsed_or_ignored(tally: Tally) -> None:
    rng = np.random.default_rng(1)
    config = parse_config(CONFIG)
    tokens = ['(', ')', '[', ']', '{', '}', ',', '=', 'dict(', '**', '*', '\\', "'", '"', '\0', '\n', ' ', '#',
              'lambda', 'f"{', '-', '1e999', '9' * 5000, 'é', '\ud800', '__import__("os")', 'a' * 3000, '(' * 500,
              '-' * 5000, '1+' * 3000 + '1', '[' * 90 + ']' * 90]
    for _ in range(250 * MORE):
        place = rng.integers(len(CONFIG))
        text = CONFIG[:place] + tokens[rng.integers(len(tokens))] + CONFIG[place + rng.integers(3):]
        found = tally.attempt(lambda text=text: parse_config(text))
        assert found is None or isinstance(found, dict)
        list(differences(config, found, 'config'))
    for junk in JUNK:
        assert tally.attempt(lambda junk=junk: parse_config(junk)) is None or isinstance(junk, str)


def test_a_mutated_lock_is_taken_over_or_rejected(tmp_path: Path, tally: Tally) -> None:
    rng = np.random.default_rng(2)
    path = tmp_path / LOCK
    owner = {**describe_process(), 'process': 2**31 - 1, 'kernel_start': '', 'job': ['SLURM_JOB_ID', '7', 0]}

    def hold() -> bool:
        with work_dir_lock(tmp_path):
            return True

    for number in range(250 * MORE):
        content = copy.deepcopy(owner)
        for _ in range(int(rng.integers(1, 3))):
            every = places(content)
            mutate(content, every[rng.integers(len(every))], rng.choice(['delete', 'replace', 'twice']),
                   copy.deepcopy(JUNK[rng.integers(len(JUNK))]))
        text = json.dumps(content).encode()
        if number % 3 == 0:
            at = rng.integers(1, len(text))
            text = text[:at] + (bytes(rng.integers(0, 256, 3, dtype=np.uint8)) + text[at + 1:] if number % 2 else b'')
        path.write_bytes(text)
        held = tally.attempt(hold, str(tmp_path), kinds=(MMPartRefError, ))
        assert path.exists() is (held is None)  # a lock that was rejected stays
        assert held is not None or path.read_bytes() == text
    assert sorted(each.name for each in tmp_path.iterdir()) in ([], [LOCK])


def test_a_pointer_of_any_bytes_names_a_path(tmp_path: Path, tally: Tally) -> None:
    rng = np.random.default_rng(3)
    pointer = tmp_path / 'last_checkpoint'
    contents = [b'', b'\0', b'/', b'.', b'..', b'\xff' * 9, b'x' * 9000, b'a/\nb', str(tmp_path).encode(), b'/dev/null',
                *(rng.bytes(20) for _ in range(40 * MORE))]
    for content in contents:
        pointer.write_bytes(content)
        named = last_checkpoint(tmp_path)
        assert named is not None
        assert resume_fault(named)
        cfg = Config({'work_dir': str(tmp_path), 'resume': True})
        with pytest.raises(MMPartRefError) as caught:
            choose_resume_point(cfg)
        tally.check(caught.value, '', record=False)
        tally.outcomes['refused'] += 1
