"""Measure time and memory of loading annotations as large as PartImageNet's training split.

Writes a synthetic json (20,481 images, 95,059 annotated parts as polygons) into a temporary folder and loads it. Needs
Linux.
"""
import argparse
import json
import math
import os
import random
import re
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from mmpartref.arguments import ToolParser, positive_int
from mmpartref.datasets import PartImageNetReferringDataset
from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, load_synsets
from mmpartref.errors import one_sentence_errors

HEIGHT, WIDTH = 375, 500


def make_polygon(rng: random.Random, points: int) -> list[float]:
    """Return a closed outline of ``points`` points inside the image: x, y, x, y, ... in pixels."""
    x, y, radius = rng.uniform(60, WIDTH - 60), rng.uniform(60, HEIGHT - 60), rng.uniform(8, 50)
    ring = []
    for step in range(points):
        angle, reach = 2 * math.pi * step / points, radius * rng.uniform(0.8, 1.2)
        ring += [round(x + reach * math.cos(angle), 2), round(y + reach * math.sin(angle), 2)]
    return ring


def write_annotations(path: Path, images: int, annotations: int, points: int) -> None:
    """Write a COCO json with the parts spread evenly over the images."""
    rng = random.Random(0)
    wnids = list(load_synsets())
    document = {
        'images': [{'id': i, 'file_name': f'{wnids[i % len(wnids)]}_{i}.JPEG', 'height': HEIGHT, 'width': WIDTH}
                   for i in range(images)],
        'annotations': [{'id': i, 'image_id': i % images, 'category_id': rng.randrange(len(CATEGORY_NAMES)),
                         'area': 100, 'iscrowd': 0, 'segmentation': [make_polygon(rng, points)]}
                        for i in range(annotations)],
        'categories': [{'id': i, 'name': name, 'supercategory': name.split()[0]}
                       for i, name in enumerate(CATEGORY_NAMES)],
    }
    path.write_text(json.dumps(document), encoding='utf-8')


def memory(kind: str) -> float:
    """Return this process's memory in MiB, with ('Rss') or without ('Private_Dirty') what it shares."""
    text = Path('/proc/self/smaps_rollup').read_text(encoding='ascii')
    return sum(int(number) for number in re.findall(rf'^{kind}:\s+(\d+) kB', text, re.MULTILINE)) / 1024


def read_entries(dataset: PartImageNetReferringDataset, results: Connection) -> None:
    """Read every entry once, as a worker does in an epoch, and send the memory used."""
    expressions = sum(len(dataset.get_data_info(index)['refs']) for index in range(len(dataset)))
    results.send((os.getpid(), expressions, memory('Rss'), memory('Private_Dirty')))


@one_sentence_errors()
def main() -> None:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=positive_int, default=20481)
    parser.add_argument('--annotations', type=positive_int, default=95059)
    parser.add_argument('--points', type=positive_int, default=60, help='points of each outline')
    parser.add_argument('--workers', type=positive_int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ann_file = Path(folder) / 'train.json'
        context = get_context('fork')
        # In a separate process, so that its memory does not count.
        writer = context.Process(target=write_annotations, args=(ann_file, args.images, args.annotations, args.points))
        writer.start()
        writer.join()
        before, start = memory('Rss'), time.perf_counter()
        dataset = PartImageNetReferringDataset(ann_file=str(ann_file))
        seconds = time.perf_counter() - start
        print(f'json             {ann_file.stat().st_size / 2**20:8.1f} MiB')
    print(f'loading          {seconds:8.1f} s')
    print(f'serialised list  {dataset.data_bytes.nbytes + dataset.data_address.nbytes:,} bytes')
    print(f'main process     {memory("Rss"):8.1f} MiB RSS, {before:.1f} before')
    for _ in range(args.workers):
        receive, send = context.Pipe(duplex=False)
        worker = context.Process(target=read_entries, args=(dataset, send))
        worker.start()
        pid, expressions, resident, private = receive.recv()
        worker.join()
        print(f'worker {pid:<9} {resident:8.1f} MiB RSS, {private:.1f} of it private, after reading '
              f'{expressions:,} expressions')


if __name__ == '__main__':
    main()
