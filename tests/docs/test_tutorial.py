"""The tutorial notebook, executed at sizes of a test: its pictures and its metric are there."""
import ast
import base64
import io
import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from doc_tools import ROOT
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

NOTEBOOK = ROOT / 'docs/tutorial.ipynb'
# Values of the notebook's first code cell.
SIZES = {
    'WORK_DIR': 'here',
    'SCENES': {'train': 10, 'val': 2, 'test': 2},
    'PICTURE': (96, 72),
    'NETWORK': 64,
    'EPOCHS': 1,
    'OWN_EPOCHS': 1,
    'WORKERS': 0,
}


def read() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == 'code']


def outputs(notebook: NotebookNode, kind: str) -> list[str]:
    return [output.data[kind] for cell in code_cells(notebook) for output in cell.outputs
            if kind in output.get('data', {})]


@pytest.fixture(scope='module')
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    notebook = read()
    names = [node.targets[0].id for node in ast.parse(code_cells(notebook)[0].source).body]
    assert names == list(SIZES), 'the first cell is replaced, so that SIZES needs every name of it'
    code_cells(notebook)[0].source = '\n'.join(f'{name} = {value!r}' for name, value in SIZES.items())
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


@pytest.mark.e2e
def test_it_draws(executed: NotebookNode) -> None:
    """Two scenes, the loss, predictions, a heat map, a map of parts, two losses."""
    pictures = [np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert('RGB'))
                for data in outputs(executed, 'image/png')]
    assert len(pictures) == 6
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
