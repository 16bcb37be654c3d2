"""The journal of a run: what is read back from it, and what is rejected."""
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmpartref.apis.batch.journal import Journal, header_difference
from mmpartref.errors import FileInTheWayError, FileWriteError, InputError

HEADER = {'expressions': ['car tire'], 'options': {'masks': True, 'size': 3}, 'images': 6, 'share': {'index': 0}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'new' / 'infer.journal.jsonl'


def write(path: Path, *numbers: int, header: dict = HEADER) -> None:
    """Write a journal as a run that is killed does."""
    with Journal(path, header, 6) as journal:
        for number in numbers:
            journal.add(number, {'coco': {'value': 10 * number}})


def reopened(path: Path, header: dict = HEADER, **options: int) -> Journal:
    journal = Journal(path, header, 6)
    journal.load(resume=True, **options)
    return journal


def values(journal: Journal) -> list[int]:
    return [each['value'] for each in journal.records('coco')()]


def test_a_run_goes_on_where_it_was(path):
    write(path, 0, 2, 3)
    journal = reopened(path)
    assert [journal.is_done(number) for number in range(6)] == [True, False, True, True, False, False]
    assert journal.count == 3
    with journal:
        journal.add(5, {'coco': {'value': 50}})
        # One that failed before: records are in the order of the images, and can be read while more are added.
        journal.add(1, {'coco': {'value': 11}})
        assert values(journal) == [0, 11, 20, 30, 50]
        assert values(journal) == [0, 11, 20, 30, 50]
    assert reopened(path).count == 5


def test_a_line_that_was_cut_short_is_dropped(path):
    write(path, 0, 1, 2)
    content = path.read_bytes()
    last = len(content.splitlines(keepends=True)[-1])
    for cut in range(1, last + 1):
        path.write_bytes(content[:-cut])
        journal = reopened(path)
        assert journal.count == 2
        with journal:
            journal.add(2, {'coco': {'value': 20}})
        assert path.read_bytes() == content
    path.write_bytes(content[:20])
    journal = reopened(path)
    assert journal.count == 0
    with journal:
        assert path.read_bytes().splitlines()[0] == content.splitlines()[0]


def test_a_part_of_a_batch_is_dropped(path):
    write(path, 0, 1, 2, 4, 5)
    for multiple, kept in ((1, [0, 1, 2, 4, 5]), (2, [0, 1, 2, 4]), (3, [0, 1, 2]), (6, [])):
        journal = reopened(path, multiple=multiple)
        assert [number for number in range(6) if journal.is_done(number)] == kept
        assert journal.count == len(kept)
    with reopened(path, multiple=3) as journal:
        assert values(journal) == [0, 10, 20]
    assert len(path.read_bytes().splitlines()) == 4


def test_a_run_that_has_not_ended_is_not_lost(path):
    write(path, 0, 1)
    before = path.read_bytes()
    with pytest.raises(FileInTheWayError, match=r'infer\.journal\.jsonl is the journal of a run that has not ended, 2 '
                                                r'of 6 images: add --resume to go on, or remove it to start again$'):
        Journal(path, HEADER, 6).load(resume=False)
    assert path.read_bytes() == before


def test_without_an_image_nothing_stays(path):
    write(path)
    assert not path.exists()
    path.write_bytes(b'{"journal": 1}\n')
    journal = Journal(path, HEADER, 6)
    journal.load(resume=False)
    with journal:
        journal.add(0, {})
    assert json.loads(path.read_text().splitlines()[0]) == {'journal': 1, **HEADER}
    with reopened(path) as journal:
        journal.remove()
    assert not path.exists()


@pytest.mark.parametrize(('change', 'message'), [
    ({'expressions': ['car']}, r'of another run: expressions is \["car tire"\] there and \["car"\] here'),
    ({'options': {'masks': True, 'size': 4}}, 'size is 3 there and 4 here'),
    ({'images': 7}, 'images is 6 there and 7 here'), ({'share': {'index': 1}}, 'index is 0 there and 1 here')])
def test_another_run_is_not_continued(path, change, message):
    write(path, 0)
    before = path.read_bytes()
    with pytest.raises(InputError, match=f'{message}; give the same command line to go on, or remove it to start'):
        reopened(path, {**HEADER, **change})
    assert path.read_bytes() == before


def test_a_difference_is_a_word(path):
    assert header_difference({'a': 1, 'b': [2]}, {'b': [2], 'a': 1}) == ''
    assert header_difference({'a': 1}, {'a': 1, 'b': None, 'c': 'x'}) == 'c is null there and "x" here'


@pytest.mark.parametrize(('line', 'message'), [
    (b'{"image": 0', 'line 3 is damaged'), (b'[]', 'line 3 is damaged'), (b'\xff\xfe', 'line 3 is damaged'),
    (b'{"image": 6}', 'a line of image 6, but there are images 0 to 5'), (b'{}', 'a line of image None'),
    (b'{"image": true}', 'a line of image True')])
def test_damage_is_named(path, line, message):
    write(path, 0, 1, 2)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b'\n'.join([*lines[:2], line, *lines[2:], b'']))
    with pytest.raises(InputError, match=f'{message}.*; remove (it|the file) to start again'):
        reopened(path)


def test_a_file_of_another_kind_is_not_touched(path):
    path.parent.mkdir()
    path.write_text('{"images": []}\n')
    with pytest.raises(InputError, match=r'is not a journal of version 1; remove it to start again'):
        Journal(path, HEADER, 6).load(resume=False)


@pytest.fixture
def running(path: Path) -> Iterator[None]:
    with Journal(path, HEADER, 6) as journal:
        journal.add(0, {})
        yield


@pytest.mark.usefixtures('running')
def test_two_runs_do_not_write_one_journal(path):
    journal = Journal(path, HEADER, 6)
    for enter in (lambda: journal.load(resume=True), lambda: journal.load(resume=False), journal.__enter__):
        with pytest.raises(FileInTheWayError, match='is the journal of a run that is under way; wait for it, or'):
            enter()


def test_without_a_path_the_journal_is_temporary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = Journal(None, HEADER, 6)
    journal.load(resume=False)
    with journal:
        journal.add(4, {'coco': {'value': 1}})
        assert values(journal) == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(path, monkeypatch):
    journal = Journal(path, HEADER, 6)
    with journal, Path('/dev/full').open('r+b', buffering=0) as full:
        journal.add(0, {})
        monkeypatch.setattr(journal, '_file', Seekable(full))
        with pytest.raises(FileWriteError, match=r'cannot be written \(No space left on device\); make room'):
            journal.add(1, {})
        monkeypatch.undo()
    assert reopened(path).count == 1


class Seekable:
    """A full disk."""

    def __init__(self, file: object) -> None:
        self.file = file

    def seek(self, offset: int, whence: int) -> int:
        return 1

    def write(self, content: bytes) -> int:
        return self.file.write(content)

    def flush(self) -> None:
        pass
