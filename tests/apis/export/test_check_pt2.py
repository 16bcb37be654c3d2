"""A .pt2 file is rejected before torch reads it if it holds more than tensors and operators without side effects."""
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mmpartref.apis.export.check_pt2 import check_pt2
from mmpartref.apis.export.run_exported import load_exported
from mmpartref.errors import WeightsError


class Net(nn.Module):

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(torch.cat([x, x])).relu()


@pytest.fixture(scope='module')
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('pt2') / 'good.pt2'
    batch = torch.export.Dim('batch', min=2, max=8)
    program = torch.export.export(Net().eval(), (torch.ones(2, 3), ), dynamic_shapes={'x': {0: batch}})
    torch.export.save(program, path)
    return path


def changed(good: Path, folder: Path, change: Callable[[str, Any], Any], *, names: dict | None = None) -> Path:
    """Write a copy in which every entry of every json went through ``change(key, value)``."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: change(key, walk(each)) for key, each in value.items()}
        return [walk(each) for each in value] if isinstance(value, list) else value

    path = folder / 'changed.pt2'
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, 'w') as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith('.json'):
                content = json.dumps(walk(json.loads(content))).encode()
            root, _, inside = name.partition('/')
            new.writestr(f'{root}/{(names or {}).get(inside, inside)}', content)
    return path


def replaced(key: str, value: Any) -> Callable[[str, Any], Any]:
    return lambda name, old: value if name == key and old is not None else old


def with_context(context: Any) -> Callable[[str, Any], Any]:
    """Give the containers of inputs and outputs a context."""

    def change(name: str, old: Any) -> Any:
        if name not in ('in_spec', 'out_spec') or not old:
            return old
        spec = json.loads(old)
        spec[1]['context'] = json.dumps(context)
        return json.dumps(spec)

    return change


def test_exported_files_are_loaded(good):
    run = load_exported(good)
    assert run([torch.ones(4, 3)]).shape == (8, 3)


@pytest.mark.parametrize(('change', 'message'), [
    (replaced('target', 'torch.os.system'), "calls 'torch.os.system'"),
    (replaced('target', 'torch.ops.aten.from_file.default'), 'calls .*from_file'),
    (replaced('target', 'torch.ops.aten.save.default'), 'calls .*save'),
    (replaced('target', 'torch.ops.aten.as_strided.default'), 'calls .*as_strided'),
    (replaced('target', '_operator.methodcaller'), 'calls'),
    (replaced('target', 'os.system'), 'calls'),
    (replaced('expr_str', "__import__('os').system('id')"), 'computes a size by'),
    (replaced('expr_str', 'Integer(9)**9**9'), 'computes a size by'),
    (replaced('expr_str', 'x.y'), 'computes a size by'),
    (replaced('use_pickle', True), 'contains a pickle'),
    (with_context({'__enum__': True, 'fqn': 'antigravity:x', 'name': 'y'}), 'keys that are not identifiers'),
    (with_context(['a=open("/nowhere")']), 'keys that are not identifiers'),
    (replaced('forward_arg_names', ['a=print()']), 'argument whose name is not an identifier'),
    (replaced('forward_arg_names', ['class']), 'argument whose name is not an identifier'),
    (replaced('name', 'x"+str(print())+"'), 'has the name'),
    (replaced('fqn', 'layer.weight"'), 'has the name'),
    (replaced('target', 'torch.ops.aten.cat.__class__'), 'calls'),
    (replaced('target', 'torch.ops.aten.native_batch_norm.default'), 'calls'),
    (replaced('in_spec', '[1, {"type": "collections.defaultdict", "context": "null", "children_spec": []}]'),
     'other than tuples'),
])
def test_files_that_would_run_code_are_rejected(good, tmp_path, change, message):
    with pytest.raises(WeightsError, match=f'was not loaded: .*{message}.*; nothing in it was run'):
        load_exported(changed(good, tmp_path, change))


def test_names_of_weights_are_names(good, tmp_path):
    """torch writes them into the source that it executes."""
    path = tmp_path / 'evil.pt2'
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, 'w') as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith('.json'):
                content = content.replace(b'"layer.weight"', json.dumps('w"+str(print(1))+"').encode())
            new.writestr(name, content)
    with pytest.raises(WeightsError, match='has the name'):
        load_exported(path)


@pytest.mark.parametrize('name', ['serialized_state_dict.pt', 'data/weights/model.pt', 'data/constants/custom_obj_0',
                                  'data/constants/opaque_obj_0', 'data/aotinductor/model.so', '../x'])
def test_other_files_are_rejected(good, tmp_path, name):
    with pytest.raises(WeightsError, match='older format or a pickle'):
        check_pt2(changed(good, tmp_path, lambda key, value: value, names={'data/weights/weight_0': name}))


def test_a_long_expression_fails_at_once(good, tmp_path):
    with pytest.raises(WeightsError, match='computes a size by'):
        check_pt2(changed(good, tmp_path, replaced('expr_str', '1' * 900 + '!')))


@pytest.mark.parametrize('content', [b'', b'text', b'PK\x03\x04'])
def test_other_files_raise_one_sentence(tmp_path, content):
    (tmp_path / 'a.pt2').write_bytes(content)
    with pytest.raises(WeightsError, match=r'is not a file that torch\.export wrote'):
        load_exported(tmp_path / 'a.pt2')
