"""Two machines of two processes each, simulated on this one: ``tools/dist_train.sh`` and ``dist_test.sh`` on gloo."""
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import torch
from pycocotools import mask as coco_mask

from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[3]
# Seconds without an end after which a node counts as hung.
PATIENCE = 240
# In its first run, the first process of the second node waits in the second epoch, for the test to kill the node.
WAIT_ONCE = """
import time
from pathlib import Path

from mmengine.hooks import Hook
from mmpartref.registry import HOOKS


@HOOKS.register_module()
class WaitOnce(Hook):

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        marker = Path({marker!r})
        if runner.rank == 2 and runner.epoch == 1 and batch_idx == 0 and not marker.exists():
            marker.touch()
            time.sleep({patience})
"""


def environment(port: str, folder: Path) -> dict[str, str]:
    """Return the variables of a script that finds mmpartref and the modules in a folder."""
    return {**os.environ, 'PYTHON': sys.executable, 'PORT': port, 'OMP_NUM_THREADS': '1',
            'PYTHONPATH': os.pathsep.join([str(ROOT), str(folder)])}


@contextmanager
def nodes(script: str, port: str, folder: Path, *arguments: str) -> Iterator[list[subprocess.Popen]]:
    """Start a script on both nodes; afterwards nothing of them is left."""
    started = []
    for rank in range(2):
        env = {**environment(port, folder), 'NNODES': '2', 'NODE_RANK': str(rank), 'MASTER_ADDR': '127.0.0.1'}
        with (folder / f'node_{rank}.txt').open('a') as out:
            started.append(subprocess.Popen(['bash', str(ROOT / 'tools' / script), *arguments], cwd=folder, env=env,
                                            stdout=out, stderr=subprocess.STDOUT))
    try:
        yield started
    finally:
        for each in started:
            kill(each)


def kill(node: subprocess.Popen) -> None:
    """Kill all processes of a node, as a power failure does; torchrun starts its own in sessions of theirs."""
    try:
        found = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        found = []
    for each in found:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    node.wait(PATIENCE)


def run(script: str, port: str, folder: Path, *arguments: str) -> None:
    """Run a script on both nodes to its end."""
    with nodes(script, port, folder, *arguments) as started:
        codes = [each.wait(PATIENCE) for each in started]
    assert codes == [0, 0], (folder / 'node_0.txt').read_text()[-3000:]


def scores(dump: Path) -> dict[str, tuple[str, int]]:
    """Return the expression and the predicted mask's area of each reference in a dump."""
    found = {}
    for image in json.loads(dump.read_text())['images']:
        for row in image['expressions']:
            found[row['ref_id']] = row['expression'], coco_mask.area(row['pred'])
    return found


def test_a_node_dies_and_the_run_goes_on_with_the_metrics_of_one_process(tiny_config, odd_toyparts, free_port,
                                                                        tmp_path):
    marker = tmp_path / 'waiting'
    (tmp_path / 'wait_once.py').write_text(WAIT_ONCE.format(marker=str(marker), patience=PATIENCE))
    config = str(tiny_config("custom_imports = dict(imports=['wait_once'])",
                             "default_hooks = dict(wait=dict(type='WaitOnce'))",
                             'train_dataloader = dict(batch_size=3)', 'train_cfg = dict(max_epochs=2, val_interval=1)'))
    training = (config, '2', '--data-root', str(odd_toyparts), '--work-dir', str(tmp_path / 'run'), '--resume')
    with nodes('dist_train.sh', free_port, tmp_path, *training) as (first, second):
        end = time.monotonic() + PATIENCE
        while not marker.exists():
            assert time.monotonic() < end
            assert first.poll() is None, (tmp_path / 'node_0.txt').read_text()[-3000:]
            time.sleep(0.2)
        kill(second)
        # The other node notices, and does not hang.
        assert first.wait(PATIENCE) != 0
    assert (tmp_path / 'run/epoch_1.pth').is_file()
    assert not (tmp_path / 'run/epoch_2.pth').exists()

    run('dist_train.sh', free_port, tmp_path, *training)
    assert re.search(r'resumed from \S+ after 1 epoch', (tmp_path / 'node_0.txt').read_text())
    checkpoint = str(tmp_path / 'run/epoch_2.pth')
    with mmengine_checkpoints_allowed():
        assert torch.load(checkpoint, weights_only=True)['meta']['epoch'] == 2

    # Three images on four processes: one has none of its own.
    for name, count in (('two_nodes', 2), ('one', 1)):
        arguments = (config, checkpoint, str(count), '--data-root', str(odd_toyparts), '--work-dir',
                     str(tmp_path / name), '--dump', str(tmp_path / f'{name}.json'))
        if count == 2:
            run('dist_test.sh', free_port, tmp_path, *arguments)
        else:
            subprocess.run(['bash', str(ROOT / 'tools/dist_test.sh'), *arguments], cwd=tmp_path, check=True,
                           env=environment(free_port, tmp_path))
    several, alone = scores(tmp_path / 'two_nodes.json'), scores(tmp_path / 'one.json')
    assert several.keys() == alone.keys()
    assert len(alone) > 3
    for ref, (expression, area) in alone.items():
        assert several[ref][0] == expression
        # A pixel at the threshold may differ between processes.
        assert several[ref][1] == pytest.approx(area, abs=2)
