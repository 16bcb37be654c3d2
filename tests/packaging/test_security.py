"""What would run a stranger's code, write outside a folder or reach for the network is not in the code."""
import ast
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import network_guard
import pytest

CHECKOUT = Path(__file__).parents[2]
FOLDERS = ('mmpartref', 'tools', 'configs', '.ci')
FILES = sorted(file for folder in FOLDERS for file in (CHECKOUT / folder).rglob('*.py'))
# Forbidden with any arguments: they run code from a file, or write to paths from an archive.
FORBIDDEN = {'pickle.load', 'pickle.loads', 'pickle.Unpickler', 'marshal.load', 'marshal.loads', 'shelve.open', 'eval',
             'exec', 'os.system', 'os.popen', 'yaml.load', 'yaml.unsafe_load', 'yaml.full_load', 'torch.hub.load',
             'torch.jit.load', 'shutil.unpack_archive', 'joblib.load', 'tarfile.open', 'Config.fromstring',
             'mmengine.load', 'mmengine.fileio.load', 'torch.hub.load_state_dict_from_url'}
# Only in the one module that checks what it reads.
READERS = {'torch.load': 'mmpartref/models/weights/state_files.py',
           'torch.export.load': 'mmpartref/apis/export/run_exported.py',
           'Config.fromfile': 'mmpartref/engine/config/read_config.py'}
FORBIDDEN_METHODS = {'extractall', 'extract'}


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` for a chain of names, else what there is of it."""
    if isinstance(node, ast.Attribute):
        return f'{dotted(node.value)}.{node.attr}'
    return node.id if isinstance(node, ast.Name) else ''


def unsafe(tree: ast.AST, file: str = '') -> Iterator[str]:
    """Yield what is unsafe in a module of the checkout, by line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if f'{node.module}.{alias.name}' in FORBIDDEN | {*READERS, 'numpy.load'}:
                    yield f'{node.lineno}: hides {node.module}.{alias.name}'
        if isinstance(node, ast.ClassDef) and any(dotted(base).endswith('Unpickler') for base in node.bases):
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            if 'find_class' not in methods and not bases:
                yield f'{node.lineno}: {node.name} finds any class'
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        words = {each.arg: each.value for each in node.keywords}
        if name in FORBIDDEN or (isinstance(node.func, ast.Attribute) and node.func.attr in FORBIDDEN_METHODS):
            yield f'{node.lineno}: {name}'
        if name in READERS and file != READERS[name]:
            yield f'{node.lineno}: {name} outside {READERS[name]}'
        if name == 'torch.load' and not is_constant(words.get('weights_only'), True):
            yield f'{node.lineno}: torch.load without weights_only=True'
        if 'allow_pickle' in words and not is_constant(words['allow_pickle'], False):
            yield f'{node.lineno}: {name} with allow_pickle'
        if 'shell' in words and not is_constant(words['shell'], False):
            yield f'{node.lineno}: {name} with shell'
        if 'trust_remote_code' in words and not is_constant(words['trust_remote_code'], False):
            yield f'{node.lineno}: {name} with trust_remote_code'


def is_constant(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize('source', [
    'torch.load(a)', 'torch.load(a, weights_only=False)', 'torch.load(a, weights_only=some)',
    'torch.load(a, weights_only=True)', 'torch.export.load(a)', 'Config.fromstring(a, ".py")', 'mmengine.load(a)',
    'from mmengine.fileio import load', 'from torch.export import load', 'Config.fromfile(a)',
    'from torch import load', 'from pickle import loads', 'pickle.load(f)', 'pickle.Unpickler(f).load()',
    'class U(pickle.Unpickler):\n    pass', 'np.load(a, allow_pickle=True)', 'yaml.load(f)', 'eval(text)',
    'archive.extractall(folder)', 'tarfile.open(a)', 'shutil.unpack_archive(a)', 'subprocess.run(a, shell=True)',
    'AutoModel.from_pretrained(a, trust_remote_code=True)'])
def test_the_scan_finds(source):
    assert list(unsafe(ast.parse(source)))


def test_the_scan_lets_the_safe_forms_pass():
    assert not list(unsafe(ast.parse('torch.load(a, weights_only=True)'), READERS['torch.load']))
    source = ('np.load(a)\nnp.load(a, allow_pickle=False)\nyaml.safe_load(f)\n'
              'class U(pickle.Unpickler):\n    def find_class(self, module, name): raise KeyError\n'
              'class V(U):\n    pass\nmodel.eval()\n')
    assert not list(unsafe(ast.parse(source)))


def test_nothing_unsafe_is_in_the_code():
    assert len(FILES) > 150
    found = [f'{file.relative_to(CHECKOUT)}:{what}' for file in FILES
             for what in unsafe(ast.parse(file.read_text(encoding='utf-8')), file.relative_to(CHECKOUT).as_posix())]
    assert not found


IMPORT_EVERYTHING = """
import importlib, pkgutil, runpy, socket, sys
from pathlib import Path

def block(*args, **kwargs):
    raise AssertionError(f'the network is used on import: {args[1:]}')

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = block
import mmpartref
names = [module.name for module in pkgutil.walk_packages(mmpartref.__path__, 'mmpartref.')]
for name in names:
    importlib.import_module(name)
tools = sorted(Path(sys.argv[1]).glob('*.py'))
for tool in tools:
    runpy.run_path(str(tool), run_name='imported')
print(len(names), len(tools))
"""


@pytest.mark.e2e
def test_importing_every_module_and_tool_needs_no_network(tmp_path):
    done = subprocess.run([sys.executable, '-c', IMPORT_EVERYTHING, str(CHECKOUT / 'tools')], cwd=tmp_path,
                          capture_output=True, text=True, check=False,
                          env={**os.environ, 'PYTHONPATH': str(CHECKOUT), 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr[-3000:]
    modules, tools = map(int, done.stdout.split()[-2:])
    assert modules > 120
    assert tools > 12


@pytest.mark.parametrize('reach', [
    lambda: socket.create_connection(('192.0.2.1', 80), timeout=1),
    lambda: socket.socket().connect_ex(('192.0.2.1', 80)),
    lambda: socket.getaddrinfo('example.org', 80)])
def test_the_guard_of_these_tests_blocks_other_machines(reach):
    with pytest.raises(OSError, match='tests have no network'):
        reach()
    assert len(network_guard.ATTEMPTS) == 1
    network_guard.ATTEMPTS.clear()


def test_the_guard_of_these_tests_lets_this_machine_be_reached():
    with socket.create_server(('127.0.0.1', 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
