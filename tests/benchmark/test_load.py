"""Load: thousands of predictions in one process, thousands of annotations in one json, several workers an epoch."""
import gc
import hashlib
import runpy
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmpartref.apis import PartReferInferencer
from mmpartref.datasets import PartImageNetReferringDataset
from mmpartref.engine.hooks.dataset_epoch_hook import transforms_with_epoch
from mmpartref.engine.launch.build_runner import load_config

ROOT = Path(__file__).parents[2]
MIB = 2**20


@pytest.mark.slow
def test_thousands_of_predictions_leave_nothing_behind(tiny_model_cfg):
    config = Config.fromfile(ROOT / 'configs/cris_tiny_toyparts.py')
    config.model = {**tiny_model_cfg, 'decode': 'aligned'}
    config.test_dataloader.dataset.pipeline[1].size = 32
    inferencer = PartReferInferencer(config, device='cpu')
    drawn = np.random.default_rng(0)
    images = [drawn.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in ((24, 32), (32, 20))]
    process, readings = psutil.Process(), []
    for call in range(61):
        if call in (20, 60):
            gc.collect()
            readings.append((len(gc.get_objects()), process.memory_info().rss / MIB))
        found = inferencer(images[call % 2], [f'part {call % 5} {number}' for number in range(50)])
        assert len(found) == 50
    (objects, memory), (objects_later, memory_later) = readings
    # Within 40 calls of 50 expressions: fewer than one object a call, less than 15 kB an expression.
    assert objects_later - objects < 40
    assert memory_later - memory < 30


def read_everything(dataset, pipe):
    """In a worker: read every entry, and return how much memory only this process uses."""
    expressions = sum(len(dataset.get_data_info(index)['refs']) for index in range(len(dataset)))
    pipe.send((expressions, psutil.Process().memory_full_info().uss / MIB))


@pytest.mark.slow
@pytest.mark.skipif('fork' not in torch.multiprocessing.get_all_start_methods(), reason='needs fork')
def test_a_worker_shares_the_index(tmp_path):
    """docs/engineering.md states the memory for 100,000 annotations, by the same tool."""
    write_annotations = runpy.run_path(str(ROOT / 'tools/benchmark_index.py'))['write_annotations']
    write_annotations(tmp_path / 'train.json', 4300, 20000, 8)
    dataset = PartImageNetReferringDataset(ann_file=str(tmp_path / 'train.json'))
    size = dataset.data_bytes.nbytes + dataset.data_address.nbytes
    # Outlines of eight points to hundredths of a pixel, and the ref's texts.
    assert size / 20000 < 400
    results = []
    for read in (lambda dataset, pipe: read_everything([], pipe), read_everything):
        receive, send = get_context('fork').Pipe(duplex=False)
        worker = get_context('fork').Process(target=read, args=(dataset, send))
        worker.start()
        assert receive.poll(60)
        results.append(receive.recv())
        worker.join()
    (nothing, idle), (expressions, busy) = results
    assert (nothing, expressions > 18000) == (0, True)
    assert busy - idle < max(4, size / MIB / 2)


def digests(dataloader, epoch):
    """Return a digest per batch: the images' order, their pixels, masks and expressions."""
    dataloader.batch_sampler.sampler.set_epoch(epoch)
    for each in transforms_with_epoch(dataloader.dataset):
        each.set_epoch(epoch)
    found = []
    for batch in dataloader:
        digest = hashlib.sha256()
        for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            digest.update(f"{sample.img_path} {sample.expressions}".encode())
            digest.update(image.numpy().tobytes() + np.asarray(sample.gt_masks).tobytes())
        found.append(digest.hexdigest())
    return found


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_epochs(odd_toyparts):
    epochs = []
    for workers in (0, 1, 3):
        config = ROOT / 'configs/toyparts/cris_tiny_toyparts_absent.py'
        cfg = load_config(config, data_root=str(odd_toyparts)).train_dataloader
        cfg.update(batch_size=8, num_workers=workers, persistent_workers=workers > 0)
        with DefaultScope.overwrite_default_scope('mmpartref'):
            dataloader = Runner.build_dataloader(cfg, seed=0)
        epochs.append([digests(dataloader, epoch) for epoch in range(2)])
        torch.manual_seed(workers)
    assert len(epochs[0][0]) >= 3
    assert epochs[0][0] != epochs[0][1]
    # Exact: images and masks are integers.
    assert epochs[0] == epochs[1] == epochs[2]
