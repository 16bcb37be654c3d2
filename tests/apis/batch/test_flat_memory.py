"""The memory of a run does not grow with the number of images."""
import json
import tracemalloc
from pathlib import Path

import pytest

from mmpartref.apis.batch.journal import Journal
from mmpartref.apis.batch.shares import Share, merge_shares, write_share
from mmpartref.apis.formats.coco_results import CocoOutput

# Bytes of an image's record, and images.
SIZE, IMAGES = 20_000, 400
HEADER = {'info': {}, 'expressions': ['car'], 'images': IMAGES, 'share': {'index': 0, 'count': 1}}


def record(number: int) -> dict:
    return {'image': {'file_name': f'{number}.jpg', 'width': 1, 'height': 1}, 'empty_masks': 0,
            'annotations': [{'category_id': 1, 'segmentation': {'counts': f'{number % 10}' * SIZE}}]}


@pytest.mark.parametrize('shares', [1, 2])
def test_only_a_few_records_are_in_memory(tmp_path: Path, shares: int) -> None:
    tracemalloc.start()
    try:
        for index in range(shares):
            share = Share(index, shares)
            header = {**HEADER, 'share': {'index': index, 'count': shares}}
            numbers = share.of(range(IMAGES))
            with Journal(tmp_path / f'{index}.journal.jsonl', header, IMAGES) as journal:
                for number in numbers:
                    journal.add(number, {'coco': record(number)})
                if shares == 1:
                    CocoOutput(['car'], {}).write(tmp_path / 'all.json', journal.records('coco'))
                else:
                    write_share(share.path(tmp_path / 'all.json', '.jsonl'), header, 'coco', (len(numbers), 0),
                                journal.lines())
            Journal(journal.path, header, IMAGES).load(resume=True)
        if shares > 1:
            merge_shares(tmp_path / 'all.json')
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(json.loads((tmp_path / 'all.json').read_text())['annotations']) == IMAGES
    assert (tmp_path / 'all.json').stat().st_size > IMAGES * SIZE
    assert peak < IMAGES * SIZE / 5
