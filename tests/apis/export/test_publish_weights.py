"""Weights to share."""
import hashlib

import pytest
import torch

from mmpartref.apis.export.publish_weights import publish_weights
from mmpartref.errors import InputError, WeightsError
from mmpartref.models.weights.checkpoints import load_weights
from mmpartref.models.weights.state_files import read_content
from mmpartref.registry import MODELS


@pytest.fixture
def checkpoint(tiny_model_cfg, tmp_path):
    model = MODELS.build(tiny_model_cfg)
    path = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': model.state_dict(), 'ema_state_dict': {k: v + 1 if v.is_floating_point() else v
                                                                    for k, v in model.state_dict().items()},
                'optimizer': {'state': {0: torch.zeros(10)}},
                'meta': {'cfg': 'data_root = "/home/me"', 'config': '/home/me', 'work_dir': '/home/me', 'epoch': 1,
                         'part_categories': [{'name': 'a'}]}}, path)
    return path


@pytest.mark.parametrize('half', [False, True])
def test_the_weights_are_those_of_the_checkpoint(checkpoint, tiny_model_cfg, tmp_path, half):
    path = publish_weights(checkpoint, tmp_path / 'out', 'cris', half=half)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path.name == f'cris-{digits}.pth'
    assert b'/home/me' not in path.read_bytes()
    content = read_content(path)
    assert content.keys() == {'state_dict', 'meta'}
    assert content['meta'] == {'epoch': 1, 'part_categories': [{'name': 'a'}]}
    model, other = MODELS.build(tiny_model_cfg), MODELS.build(tiny_model_cfg)
    load_weights(model, checkpoint, 'tiny')
    load_weights(other, path, 'tiny')
    for name, value in model.state_dict().items():
        loaded = other.state_dict()[name]
        assert loaded.dtype == value.dtype
        torch.testing.assert_close(loaded, value, rtol=1e-3 if half else 0, atol=1e-6 if half else 0)
    assert publish_weights(checkpoint, tmp_path / 'again', 'cris', half=half).name == path.name
    if half:
        assert path.stat().st_size < 0.6 * publish_weights(checkpoint, tmp_path, 'full').stat().st_size


def test_the_key_of_the_weights(checkpoint, tmp_path):
    averaged = read_content(publish_weights(checkpoint, tmp_path, 'a', key='ema_state_dict'))['state_dict']
    plain = read_content(checkpoint)['state_dict']
    name = next(name for name, value in plain.items() if value.is_floating_point())
    torch.testing.assert_close(averaged[name], plain[name] + 1)


def test_a_view_is_stored_at_its_own_size(tmp_path):
    torch.save({'a': torch.zeros(1_000_000)[:3]}, tmp_path / 'a.pth')
    assert publish_weights(tmp_path / 'a.pth', tmp_path, 'b').stat().st_size < 10_000


def test_numbers_that_are_not_finite_and_wrong_names(tmp_path):
    torch.save({'a': torch.tensor([1e6])}, tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match='a has values that are not finite as float16; write it without --half'):
        publish_weights(tmp_path / 'a.pth', tmp_path, 'b', half=True)
    torch.save({'a': torch.tensor([float('nan')])}, tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match=r'a has values that are not finite$'):
        publish_weights(tmp_path / 'a.pth', tmp_path, 'b')
    for name in ('', '..', 'a/b', '/a', 'a\nb'):
        with pytest.raises(InputError, match='must be the name of a file'):
            publish_weights(tmp_path / 'a.pth', tmp_path, name)
