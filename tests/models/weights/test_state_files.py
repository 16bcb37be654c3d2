import os
import warnings
import zipfile

import pytest
import torch
from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.weights.state_files import read_tensors, write_checkpoint


class Small(nn.Module):

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        self.scale = nn.Parameter(torch.tensor(2.5))
        self.halved = nn.Parameter(torch.randn(4, 3).half())
        self.register_buffer('input_resolution', torch.tensor(7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * self.scale


class Payload:

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.marker, )


def assert_same(found: dict, module: nn.Module) -> None:
    expected = module.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name


def test_a_torchscript_archive_is_read_for_its_tensors(tmp_path):
    module, path = Small().eval(), tmp_path / 'RN50.pt'
    # A tensor that is a view: stride and offset have to survive.
    module.halved.data = torch.randn(3, 8).half()[:, 2:6].T
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        torch.jit.trace(module, torch.randn(2, 3)).save(path)
    assert_same(read_tensors(path), module)


@pytest.mark.parametrize('wrap', [lambda state: state, lambda state: {'epoch': 1, 'state_dict': state},
                                  lambda state: {'model': {'module.' + key: value for key, value in state.items()}}])
def test_pickles_are_read_at_any_nesting_of_the_weights(tmp_path, wrap):
    module = Small()
    torch.save(wrap(dict(module.state_dict())), tmp_path / 'weights.pth')
    assert_same(read_tensors(tmp_path / 'weights.pth'), module)


def test_safetensors(tmp_path):
    from safetensors.torch import save_file
    module = Small()
    save_file(dict(module.state_dict()), tmp_path / 'model.safetensors')
    assert_same(read_tensors(tmp_path / 'model.safetensors'), module)
    (tmp_path / 'broken.safetensors').write_bytes(b'1234')
    with pytest.raises(WeightsError, match='damaged'):
        read_tensors(tmp_path / 'broken.safetensors')


def test_bad_files_have_different_messages(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no weights file'):
        read_tensors(tmp_path / 'none.pt')
    (tmp_path / 'text.pth').write_text('hello')
    with pytest.raises(WeightsError, match='not a checkpoint'):
        read_tensors(tmp_path / 'text.pth')
    torch.save({'epoch': 3}, tmp_path / 'empty.pth')
    with pytest.raises(WeightsError, match='holds no state dict'):
        read_tensors(tmp_path / 'empty.pth')
    torch.save(Small().state_dict(), tmp_path / 'whole.pth')
    whole = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(WeightsError, match=r'damaged|not a checkpoint'):
        read_tensors(tmp_path / 'cut.pth')


def test_a_malicious_pickle_does_not_run(tmp_path):
    marker = tmp_path / 'ran'
    torch.save({'state_dict': Payload(str(marker))}, tmp_path / 'evil.pth')
    with pytest.raises(WeightsError, match='was not loaded'):
        read_tensors(tmp_path / 'evil.pth')
    assert not marker.exists()


def test_a_malicious_torchscript_archive_does_not_run(tmp_path):
    import pickle
    marker = tmp_path / 'ran'
    with zipfile.ZipFile(tmp_path / 'evil.pt', 'w') as archive:
        archive.writestr('evil/constants.pkl', pickle.dumps(()))
        archive.writestr('evil/data.pkl', pickle.dumps(Payload(str(marker))))
    with pytest.raises(WeightsError, match=r'posix\.mkdir'):
        read_tensors(tmp_path / 'evil.pt')
    assert not marker.exists()


def test_writing_replaces_only_when_complete(tmp_path):
    path = tmp_path / 'deep' / 'out.pth'
    write_checkpoint({'a': torch.ones(2)}, path)
    assert torch.equal(read_tensors(path)['a'], torch.ones(2))
    assert [file.name for file in path.parent.iterdir()] == ['out.pth']
