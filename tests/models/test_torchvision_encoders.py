"""The encoders of timm and open_clip; their tests, torchvision_cases.py, need torchvision and a process of their own.

torchvision lies in a folder that only that process sees: mmengine imports it for its report on the environment, where
one without its compiled operations is an error.
"""
import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CASES = Path(__file__).with_name('torchvision_cases.py')
FOLDER = Path(sys.prefix) / 'torchvision'


def names() -> Iterator[str]:
    """Yield the tests of torchvision_cases.py as pytest calls them."""
    spec = importlib.util.spec_from_file_location(CASES.stem, CASES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, function in vars(module).items():
        if name.startswith('test_'):
            found = ['']
            # The parameters of the decorator nearest to the function come first.
            for mark in getattr(function, 'pytestmark', []):
                found = [f'{start}-{each}'.lstrip('-') for start in found for each in mark.args[1]]
            yield from (f'{name}[{each}]' if each else name for each in found)


NAMES = list(names())


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory) -> dict[str, str]:
    """Run the cases; returns what went wrong in each, nothing where all went well."""
    if not (FOLDER / 'ready').is_file():
        reason = f'{FOLDER} has no timm, open_clip and torchvision; make .venv/test/torchvision/ready puts them there'
        if os.environ.get('CI', '').lower() == 'true':
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    report = tmp_path_factory.mktemp('cases') / 'report.xml'
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', str(CASES), '-p', 'no:cacheprovider', '-p', 'no:xdist',
         '-p', 'no:hypothesispytest', '--show-capture=no', f'--junit-xml={report}',
         f'--basetemp={report.parent / "tmp"}'],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join((str(FOLDER), str(CHECKOUT))), 'HF_HUB_OFFLINE': '1'})
    if not report.is_file():
        pytest.fail(f'{done.stdout}\n{done.stderr}', pytrace=False)
    return {case.get('name'): ''.join(each.text or '' for each in case)
            for case in ElementTree.parse(report).getroot().iter('testcase')}


def test_every_case_ran(outcomes):
    assert sorted(outcomes) == sorted(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_in_a_process_of_its_own(name, outcomes):
    if outcomes[name]:
        pytest.fail(outcomes[name], pytrace=False)
