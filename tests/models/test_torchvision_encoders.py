"""The encoders of timm and open_clip; their tests, torchvision_cases.py, need torchvision and run in another process.

torchvision is in a folder that only that process sees: mmengine imports it for its report on the environment, where
one without its compiled operations is an error.
"""
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CASES = Path(__file__).with_name('torchvision_cases.py')
FOLDER = Path(sys.prefix) / 'torchvision'


@pytest.mark.slow
def test_cases_pass(tmp_path):
    assert (FOLDER / 'ready').is_file(), (
        f'{FOLDER} has no timm, open_clip and torchvision; make .venv/test/torchvision/ready installs them')
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', str(CASES), '-p', 'no:cacheprovider', '-p', 'no:xdist',
         '-p', 'no:hypothesispytest', '--show-capture=no', f'--basetemp={tmp_path / "tmp"}'],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join((str(FOLDER), str(CHECKOUT))), 'HF_HUB_OFFLINE': '1'})
    # pytest ends with another code where a case fails or no case is found.
    assert done.returncode == 0, f'{done.stdout[-20000:]}\n{done.stderr[-3000:]}'
