"""The recipe for Ray Data in docs/inference.md, on a cluster of two workers on this machine."""
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmpartref.apis import PartReferInferencer

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
def test_actors_predict_what_the_inferencer_does(image, tmp_path):
    page = (ROOT / 'docs/inference.md').read_text(encoding='utf-8')
    code, = re.findall(r'```python\n((?:(?!```).)*ray\.init.*?)```', page, re.DOTALL)
    (tmp_path / 'images/sub').mkdir(parents=True)
    for number in range(40):
        Image.fromarray(np.roll(image, number, axis=1)).save(tmp_path / f'images/sub/{number:02}.jpg')
    (tmp_path / 'recipe.py').write_text(code)
    done = subprocess.run([sys.executable, 'recipe.py'], cwd=tmp_path, text=True, capture_output=True, check=False,
                          timeout=300, env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(
                              [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])})
    assert done.returncode == 0, done.stderr[-2000:]
    found = dict(line.split() for line in done.stdout.splitlines() if line.startswith(str(tmp_path)))
    results = PartReferInferencer('cris_tiny_toyparts', device='cpu')(tmp_path / 'images', ['car body', 'car tire'])
    assert len(results) == 40
    assert found == {str(each.image.name): str(sum(bool(part.mask.any()) for part in each)) for each in results}
