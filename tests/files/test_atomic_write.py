"""A file is complete or absent: errors, two writers, what may be replaced."""
import errno
import os
import stat

import pytest

from mmpartref.errors import FileInTheWayError, FileWriteError
from mmpartref.files.atomic_write import (
    SUFFIX,
    atomic_write,
    remove_unfinished,
    temporary_path,
    unfinished_files,
    write_text,
)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / 'new' / 'out.txt'
    with atomic_write(path) as unfinished:
        unfinished.write_text('whole')
        assert (unfinished.parent, unfinished.suffix) == (path.parent, SUFFIX)
        assert not path.exists()
    assert contents(path.parent) == {'out.txt': 'whole'}
    plain = tmp_path / 'plain'
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize('error', [ZeroDivisionError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize('before', [{}, {'out.txt': 'old'}])
def test_after_an_error_in_the_body_the_folder_is_as_before(tmp_path, error, before):
    for name, text in before.items():
        (tmp_path / name).write_text(text)

    def write():
        with atomic_write(tmp_path / 'out.txt') as unfinished:
            unfinished.write_text('half')
            raise error

    with pytest.raises(error):
        write()
    assert contents(tmp_path) == before


@pytest.mark.parametrize('function', ['fsync', 'replace'])
def test_a_full_disk_leaves_the_older_file(tmp_path, monkeypatch, function):
    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    (tmp_path / 'out.txt').write_text('old')
    monkeypatch.setattr(os, function, full)
    with (pytest.raises(FileWriteError, match=r'out\.txt cannot be written \(No space left .*\); make room'),
          atomic_write(tmp_path / 'out.txt', fsync=True) as unfinished):
        unfinished.write_text('new')
    assert contents(tmp_path) == {'out.txt': 'old'}


def test_a_full_disk_in_the_body_is_a_write_error_and_other_errors_stay(tmp_path):
    for number, kind in ((errno.ENOSPC, FileWriteError), (errno.ENOENT, FileNotFoundError)):
        with pytest.raises(OSError, match='reason') as caught, atomic_write(tmp_path / 'out.txt'):
            raise OSError(number, 'reason')
        assert type(caught.value) is kind


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(FileWriteError, match=r'file/out\.txt cannot be written \(.*\); name another path$'):
        write_text(tmp_path / 'file' / 'out.txt', 'new')


def test_the_file_and_its_folder_are_synced_on_request(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, 'fsync', lambda number: synced.append(stat.S_IFMT(os.fstat(number).st_mode)))
    for fsync, kinds in ((False, []), (True, [stat.S_IFREG, stat.S_IFDIR])):
        with atomic_write(tmp_path / 'out.txt', fsync=fsync):
            pass
        assert synced == kinds


def test_a_file_system_without_syncing_of_folders_is_fine(tmp_path, monkeypatch):
    def sync(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, 'Invalid argument')

    monkeypatch.setattr(os, 'fsync', sync)
    with atomic_write(tmp_path / 'out.txt', fsync=True):
        pass
    assert contents(tmp_path) == {'out.txt': ''}


def test_two_writers_of_one_path_do_not_mix(tmp_path):
    with atomic_write(tmp_path / 'out.txt') as first:
        first.write_text('first')
        with atomic_write(tmp_path / 'out.txt') as second:
            second.write_text('second')
    assert contents(tmp_path) == {'out.txt': 'first'}


@pytest.mark.parametrize(('make', 'kind'), [
    (os.mkdir, 'a folder'), (os.mkfifo, 'a named pipe'), (lambda path: os.symlink('target', path), 'a link')])
@pytest.mark.parametrize('late', [False, True])
def test_only_a_plain_file_is_replaced(tmp_path, make, kind, late):
    """Also where the other thing appears while the file is written."""
    (tmp_path / 'target').write_text('old')
    path = tmp_path / 'out'

    def write():
        with atomic_write(path):
            assert late
            make(path)

    if not late:
        make(path)
    with pytest.raises(FileInTheWayError, match=f'out is {kind}, not a plain file'):
        write()
    assert sorted(each.name for each in tmp_path.iterdir()) == ['out', 'target']
    assert (tmp_path / 'target').read_text() == 'old'


def test_files_of_killed_writers_are_found(tmp_path):
    with atomic_write(tmp_path / 'a.pth') as first, atomic_write(tmp_path / 'b.txt'):
        assert unfinished_files(tmp_path, '*.pth') == [first]
    assert unfinished_files(tmp_path, '*') == unfinished_files(tmp_path / 'missing', '*') == []


@pytest.mark.parametrize('name', ['x' * 255, '\u4e00' * 85])
def test_a_name_of_the_greatest_length_can_be_written(name, tmp_path):
    write_text(tmp_path / name, 'whole')
    assert contents(tmp_path) == {name: 'whole'}


def test_what_killed_writers_of_some_files_left_is_removed(tmp_path):
    long = tmp_path / f"{'x' * 250}.png"
    mine = [temporary_path(path) for path in (tmp_path / 'a.png', tmp_path / 'sub/a.png', long)]
    others = [temporary_path(tmp_path / 'b.png'), tmp_path / 'a.png', tmp_path / '.a.png.part']
    (tmp_path / 'sub').mkdir()
    for file in (*mine, *others):
        file.touch()
    remove_unfinished([tmp_path / 'a.png', tmp_path / 'sub/a.png', long, tmp_path / 'missing/a.png'])
    assert not any(file.exists() for file in mine)
    assert all(file.exists() for file in others)
