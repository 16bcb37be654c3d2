"""The tutorial notebook, executed at sizes of a test: its pictures and its metric are there."""
import ast
import base64
import importlib.util
import io
import os
from importlib.machinery import ModuleSpec
from pathlib import Path

import nbformat
import numpy as np
import pytest
from doc_tools import ROOT
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image
from traitlets.config import Config

NOTEBOOK = ROOT / 'docs/tutorial.ipynb'
# Values of the cell with the tag 'parameters'.
SIZES = {
    'WORK_DIR': 'here',
    'SCENES': {'train': 10, 'val': 2, 'test': 2},
    'PICTURE': (96, 72),
    'NETWORK': 64,
    'EPOCHS': 1,
    'OWN_EPOCHS': 1,
    'WORKERS': 0,
}
TORCH = 'install -q torch "setuptools>=77,<81" wheel'


def read() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == 'code']


def tagged(notebook: NotebookNode, tag: str) -> NotebookNode:
    cell, = (cell for cell in code_cells(notebook) if tag in cell.metadata.get('tags', ()))
    return cell


def outputs(notebook: NotebookNode, kind: str) -> list[str]:
    return [output.data[kind] for cell in code_cells(notebook) for output in cell.outputs
            if kind in output.get('data', {})]


@pytest.fixture(scope='module')
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    notebook = read()
    parameters = tagged(notebook, 'parameters')
    names = [node.targets[0].id for node in ast.parse(parameters.source).body]
    assert names == list(SIZES), 'the cell is replaced, so that SIZES needs every name of it'
    parameters.source = '\n'.join(f'{name} = {value!r}' for name, value in SIZES.items())
    folder = tmp_path_factory.mktemp('tutorial')
    # The kernel's own files go there as well, and it imports this checkout.
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'IPYTHONDIR': str(folder / 'ipython'), 'OMP_NUM_THREADS': '1',
           'JUPYTER_RUNTIME_DIR': str(folder / 'runtime'), 'MPLBACKEND': 'module://matplotlib_inline.backend_inline'}
    client = NotebookClient(notebook, timeout=900, kernel_name='python3', resources={'metadata': {'path': str(folder)}})
    client.execute(env=env)
    notebook.metadata['folder'] = str(folder)
    return notebook


def test_it_is_committed_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(notebook))


def run_first_cell() -> list[str]:
    """Run it in this process; return what the magic command pip gets."""
    shell, commands = InteractiveShell(config=Config({'HistoryManager': {'enabled': False}})), []
    shell.register_magic_function(commands.append, magic_name='pip')
    shell.run_cell(code_cells(read())[0].source).raise_error()
    return commands


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Run the first cell where mmpartref is missing; return what pip gets."""
    monkeypatch.chdir(tmp_path / 'here')
    found = importlib.util.find_spec

    def find_spec(name: str) -> ModuleSpec | None:
        # A clone called mmpartref in the working directory is found as a namespace package.
        return ModuleSpec(name, None, is_package=True) if name == 'mmpartref' else found(name)

    monkeypatch.setattr(importlib.util, 'find_spec', find_spec)
    return run_first_cell()


@pytest.fixture(params=['clone', 'clone above', 'clone below', 'wheel', 'index'])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Put the package into or around the folder of the notebook; return what pip should install."""
    here = tmp_path / 'here'
    here.mkdir()
    if request.param == 'index':
        return 'mmpartref'
    if request.param == 'wheel':
        (here / 'mmpartref-0.1.0-py3-none-any.whl').touch()
        return str(here / 'mmpartref-0.1.0-py3-none-any.whl')
    clone = {'clone': here, 'clone above': tmp_path, 'clone below': here / 'mmpartref'}[request.param]
    (clone / 'mmpartref').mkdir(parents=True)
    (clone / 'mmpartref/version.py').touch()
    return str(clone)


def test_the_first_cell_installs_torch_then_the_package(place: str, installed: list[str]) -> None:
    assert installed == [TORCH, f'install -q "{place}[cris]"']


def test_the_first_cell_does_nothing_where_the_package_is() -> None:
    assert run_first_cell() == []


@pytest.mark.e2e
def test_it_draws(executed: NotebookNode) -> None:
    """Two scenes, the loss, predictions, a heat map, two maps of parts, two losses."""
    pictures = [np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert('RGB'))
                for data in outputs(executed, 'image/png')]
    assert len(pictures) == 7
    assert all(picture.std() > 1 for picture in pictures)


@pytest.mark.e2e
def test_it_trains_scores_and_takes_a_custom_backbone(executed: NotebookNode) -> None:
    shown, = (text for text in outputs(executed, 'text/plain') if 'refer/mIoU' in text)
    figures = ast.literal_eval(shown)
    assert set(figures) == {'refer/mIoU', 'refer/cIoU', 'refer/P@0.5'}
    assert all(0 <= value <= 1 for value in figures.values())
    folder = Path(executed.metadata['folder'])
    assert (folder / 'here/cris/epoch_1.pth').is_file()
    assert (folder / 'here/own_backbone/epoch_1.pth').is_file()
    printed = ''.join(output.text for cell in code_cells(executed) for output in cell.outputs
                      if output.output_type == 'stream')
    assert 'backbone.out_channels is (48, 64, 128) but neck.in_channels is (48, 64, 96)' in printed


@pytest.mark.e2e
def test_a_page_made_of_it_shows_no_local_path(executed: NotebookNode) -> None:
    """The site removes stderr of cells with the tag 'remove-stderr'."""
    for cell in code_cells(executed):
        shown = [output for output in cell.outputs
                 if not (output.get('name') == 'stderr' and 'remove-stderr' in cell.metadata.get('tags', ()))]
        assert not [output for output in shown if output.output_type == 'error' or output.get('name') == 'stderr']
        texts = [str(output.get('text', '')) + str({**output.get('data', {}), 'image/png': '', 'image/jpeg': ''})
                 for output in shown]
        assert not [text for text in texts if str(Path.home()) in text or str(ROOT) in text or '/tmp' in text
                    or 'site-packages' in text]
