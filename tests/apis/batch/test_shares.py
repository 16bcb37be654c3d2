"""Shares of a run, and the file that is made of theirs."""
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmpartref.apis.batch import shares
from mmpartref.apis.batch.run_files import RunFiles
from mmpartref.apis.batch.run_header import BLOCK, BLOCKS, file_sha256
from mmpartref.apis.batch.shares import Share, device_of_process, is_finished, merge_shares, share_of_process
from mmpartref.apis.formats.annotation_files import AnnotationFiles, write_tasks
from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.formats.labelled_masks import FormatOptions, LabelledMask
from mmpartref.errors import FileInTheWayError, InputError, MissingFileError

NAMES = ['car tire', 'car body']
IMAGES = 7
HEADER = {'info': {'config': 'a.py', 'checkpoint': None}, 'expressions': NAMES, 'options': {}, 'images': IMAGES}


def coco_record(number: int) -> dict:
    mask = np.zeros((6, 8), bool)
    mask[1:3, :number + 1] = True
    masks = [LabelledMask(name, mask, 0.1 * number, group) for group, name in enumerate(NAMES[:number % 3])]
    return CocoOutput(NAMES, {}).record(f'{number}.jpg', (6, 8), masks, 2 - len(masks))


def write_shares(path: Path, count: int, failed: tuple[int, ...] = (), kind: str = 'coco') -> None:
    for index in range(count):
        share = Share(index, count)
        numbers = share.of(range(IMAGES))
        lines = [{'image': number, 'coco': coco_record(number), 'task': task(number), 'doubt': {}}
                 for number in numbers if number not in failed]
        header = {**HEADER, 'share': {'index': index, 'count': count}}
        shares.write_share(share.path(path, '.jsonl'), header, kind, (len(lines), len(numbers) - len(lines)), lines)


def task(number: int) -> dict:
    return {'data': {'image': f'{number}\n.jpg'}, 'predictions': [{'score': number / 3}] if number else []}


@pytest.mark.parametrize(('total', 'count'), [(10, 3), (2, 5), (0, 2), (1000, 7), (5, 1)])
def test_shares_are_blocks_of_all_images(total, count):
    blocks = [Share(index, count).of(range(total)) for index in range(count)]
    assert [number for block in blocks for number in block] == list(range(total))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


@pytest.mark.parametrize('failed', [(), (0, 5)])
@pytest.mark.parametrize('count', [2, 7, 9])
def test_a_merged_json_is_that_of_one_process(tmp_path, count, failed):
    whole = CocoOutput(NAMES, HEADER['info'])
    for number in range(IMAGES):
        if number not in failed:
            whole.append(coco_record(number))
    whole.write(tmp_path / 'whole.json')
    assert json.loads((tmp_path / 'whole.json').read_text()) == whole.content()
    assert (tmp_path / 'whole.json').read_text() == json.dumps(whole.content())
    write_shares(tmp_path / 'found.json', count, failed)
    merged = merge_shares(tmp_path / 'found.json')
    assert (merged.shares, merged.images, merged.failed) == (count, IMAGES - len(failed), len(failed))
    assert (tmp_path / 'found.json').read_bytes() == (tmp_path / 'whole.json').read_bytes()
    # They remain, and the merged file is not replaced.
    assert len(list(tmp_path.glob('found.*-of-*.jsonl'))) == count
    with pytest.raises(FileInTheWayError, match=r'found\.json exists already; move or remove it'):
        merge_shares(tmp_path / 'found.json')


@pytest.mark.parametrize('tasks', [[], [task(0)], [task(number) for number in range(4)]])
def test_tasks_are_written_one_by_one(tmp_path, tasks):
    write_tasks(tmp_path / 'tasks.json', iter(tasks))
    assert (tmp_path / 'tasks.json').read_text() == json.dumps(tasks, indent=2) + '\n'


def test_tasks_of_shares_are_merged(tmp_path):
    write_shares(tmp_path / 'label_studio.json', 3, (3, ), 'task')
    merge_shares(tmp_path / 'label_studio.json')
    assert json.loads((tmp_path / 'label_studio.json').read_text()) == [task(n) for n in range(IMAGES) if n != 3]


def edit(path: Path, change: dict) -> None:
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps({**json.loads(header), **change}) + '\n' + ''.join(lines))


def cut(path: Path, lines: int) -> None:
    path.write_text(''.join(path.read_text().splitlines(keepends=True)[:lines]))


@pytest.mark.parametrize(('damage', 'message'), [
    (lambda folder: [each.unlink() for each in folder.iterdir()], 'there is no share of .*found.json, found.1-of-2'),
    (lambda folder: (folder / 'found.2-of-3.jsonl').unlink(), r'^found\.2-of-3\.jsonl of 3 shares is missing'),
    (lambda folder: [(folder / f'found.{n}-of-3.jsonl').unlink() for n in (1, 3)], r'^found\.1-of-3\.jsonl and 1 more'),
    (lambda folder: write_shares(folder / 'found.json', 2), 'has shares of 2 and of 3; remove those of one run'),
    (lambda folder: edit(folder / 'found.3-of-3.jsonl', {'expressions': ['car']}),
     r'of different runs: expressions is \["car tire", "car body"\] there and \["car"\] here'),
    (lambda folder: cut(folder / 'found.2-of-3.jsonl', 2), '2-of-3.jsonl has 1 of its 2 images; run that share again'),
    (lambda folder: edit(folder / 'found.1-of-3.jsonl', {'finished': {'kind': 'coco', 'done': 1, 'failed': 0}}),
     '1-of-3.jsonl has 2 of its 2 images'),
    (lambda folder: cut(folder / 'found.2-of-3.jsonl', 0), 'is not the output of a share'),
    (lambda folder: edit(folder / 'found.2-of-3.jsonl', {'finished': None}), 'is not the output of a share'),
    (lambda folder: edit(folder / 'found.2-of-3.jsonl', {'share': 2}), 'is not the output of a share'),
    (lambda folder: edit(folder / 'found.2-of-3.jsonl', {'finished': {'kind': 'task', 'done': 2, 'failed': 0}}),
     'is not the output of a share'),
    (lambda folder: (folder / 'found.2-of-3.jsonl').write_text('no json\nx\n'), 'line 1 is damaged'),
])
def test_what_cannot_be_merged_is_named(tmp_path, damage, message):
    write_shares(tmp_path / 'found.json', 3)
    damage(tmp_path)
    with pytest.raises((InputError, MissingFileError), match=message):
        merge_shares(tmp_path / 'found.json')
    assert not (tmp_path / 'found.json').exists()


def test_a_share_that_is_done_is_known(tmp_path):
    write_shares(tmp_path / 'found.json', 2)
    path, header = tmp_path / 'found.1-of-2.jsonl', {**HEADER, 'share': {'index': 0, 'count': 2}}
    assert is_finished(path, header)
    assert not is_finished(path, {**header, 'expressions': ['car']})
    assert not is_finished(tmp_path / 'found.3-of-2.jsonl', header)


def test_torchruns_ranks_share_what_the_command_line_names():
    assert share_of_process(None, {}) == Share(0, 1)
    assert share_of_process((2, 4), {'RANK': '0', 'WORLD_SIZE': '1'}) == Share(2, 4)
    assert share_of_process(None, {'RANK': '3', 'WORLD_SIZE': '8'}) == Share(3, 8)
    assert share_of_process((1, 2), {'RANK': '3', 'WORLD_SIZE': '4'}) == Share(7, 8)


def test_torchruns_ranks_have_a_device_each(monkeypatch):
    rank = {'RANK': '5', 'WORLD_SIZE': '8', 'LOCAL_RANK': '1'}
    monkeypatch.setattr(shares.torch, 'cuda', SimpleNamespace(is_available=lambda: True, device_count=lambda: 4))
    assert device_of_process('auto', rank) == 'cuda:1'
    assert device_of_process('auto', {}) == 'auto'
    assert device_of_process('cpu', rank) == 'cpu'
    # Where each process sees one device alone.
    monkeypatch.setattr(shares.torch, 'cuda', SimpleNamespace(is_available=lambda: True, device_count=lambda: 1))
    assert device_of_process('auto', rank) == 'cuda:0'
    monkeypatch.setattr(shares.torch, 'cuda', SimpleNamespace(is_available=lambda: False))
    assert device_of_process('auto', rank) == 'auto'


def test_files_of_shares_have_their_number(tmp_path):
    coco = AnnotationFiles('coco', tmp_path, NAMES, {}, FormatOptions())
    yolo = AnnotationFiles('yolo', tmp_path, NAMES, {}, FormatOptions())
    files = RunFiles(Share(1, 4), 'found.json', coco, 'rank.csv')
    assert files.paths() == [Path('found.2-of-4.jsonl'), Path('rank.2-of-4.csv'), tmp_path / 'annotations.2-of-4.jsonl']
    assert files.journal_path(tmp_path) == tmp_path / 'infer.journal.2-of-4.jsonl'
    assert files.journal_path(None) == Path('found.journal.2-of-4.jsonl')
    # Each process writes the same data.yaml.
    assert RunFiles(Share(1, 4), '', yolo).paths() == []
    whole = RunFiles(Share(), 'found.json', coco)
    assert whole.paths() == [Path('found.json'), tmp_path / 'annotations.json']
    assert whole.journal_path(tmp_path) == tmp_path / 'infer.journal.jsonl'
    assert whole.journal_path(None) == Path('found.journal.jsonl')
    assert RunFiles(Share(), '-').journal_path(None) is RunFiles(Share(), '').journal_path(None) is None


@pytest.mark.parametrize('size', [0, 10, BLOCK * BLOCKS, BLOCK * BLOCKS * 2 + 5])
def test_a_checkpoint_of_the_same_size_has_another_digest(tmp_path, size):
    file = tmp_path / 'model.pth'
    content = bytearray(size)
    file.write_bytes(content)
    found = {file_sha256(file)}
    for place in {0, size // 2, size - 1} if size else set():
        content[place] = 1
        file.write_bytes(content)
        found.add(file_sha256(file))
        content[place] = 0
    file.write_bytes(content + b'x')
    found.add(file_sha256(file))
    assert len(found) == (5 if size else 2)
