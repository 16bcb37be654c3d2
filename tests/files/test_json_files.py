"""Text and JSON files: round trip, and errors that name the file."""
import os

import pytest

from mmpartref.errors import FileReadError, InputError, MissingFileError, NotPlainFileError
from mmpartref.files.json_files import load_json, write_json
from mmpartref.files.plain_file import read_plain_file, read_text


def test_round_trip(tmp_path):
    write_json(tmp_path / 'new' / 'a.json', {'a': [1, 'ä']})
    assert load_json(tmp_path / 'new' / 'a.json') == {'a': [1, 'ä']}
    assert (tmp_path / 'new' / 'a.json').read_text(encoding='utf-8').endswith('}\n')


@pytest.mark.parametrize(('content', 'message'), [
    (b'{"a": [1, 2', r'a\.json is not a complete json: .* at line 1, column 12 of 11 bytes; unpack it again$'),
    (b'', r'a\.json is not a complete json'), (b'{"a": 1, "a": 2}', "a record with the key 'a' twice"),
    (b'\xff\xfe\xfa', r'a\.json is not a text file in UTF-8'), (b'[' * 100_000, 'is nested too deeply'),
    (b'1' * 5000, 'an integer of thousands of digits')])
def test_damaged_files_are_named(tmp_path, content, message):
    (tmp_path / 'a.json').write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_json(tmp_path / 'a.json', hint='unpack it again')


def test_unreadable_files_are_named(tmp_path, monkeypatch):
    with pytest.raises(MissingFileError, match=r'^dump none\.json does not exist; correct the path$'):
        load_json('none.json', 'dump none.json')
    with pytest.raises(NotPlainFileError, match='is a folder'):
        load_json(tmp_path)
    (tmp_path / 'a.txt').write_bytes(b'\xff')
    with pytest.raises(InputError, match=r'a\.txt is not text in UTF-8'):
        read_text(tmp_path / 'a.txt')
    (tmp_path / 'a.txt').write_text('one\ntwo', encoding='utf-16-le')
    with pytest.raises(InputError, match=r'a\.txt, line 1, has a zero byte, as text in UTF-16 has; save it as UTF-8'):
        read_text(tmp_path / 'a.txt')
    (tmp_path / 'a.txt').write_text('one\ntwo', encoding='utf-8-sig')
    assert read_text(tmp_path / 'a.txt') == 'one\ntwo'

    def fail(*args):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(os, 'open', fail)
    with pytest.raises(FileReadError, match=r'a\.txt cannot be read \(Permission denied\); check its path'):
        read_plain_file(tmp_path / 'a.txt')
