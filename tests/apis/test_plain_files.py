"""Whatever opens an image by its path takes plain files only and waits for nothing."""
import io
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmpartref.apis import ImageReader
from mmpartref.apis.batch.batch_run import BatchResult, RunOptions, readable_batches
from mmpartref.apis.batch.batch_run import read as read_file
from mmpartref.apis.image_files import ImageFile, find_images, relative_path
from mmpartref.datasets.transforms import LoadImage
from mmpartref.doctor import examine
from mmpartref.doctor.checks.check_label_maps import read_map
from mmpartref.errors import BadImageError, FileReadError, NotPlainFileError
from mmpartref.files import plain_file as plain_file_module
from mmpartref.files.plain_file import open_plain_file, read_plain_file

READ = ImageReader()
KINDS = ('pipe', 'socket', 'folder', 'device', 'terminal', 'link to a pipe')


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """A test that waits for a pipe or a device fails after some seconds."""
    def stop(*_: object) -> None:
        pytest.fail('it waits')

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def other(tmp_path, monkeypatch) -> Callable[[str], str]:
    """Make 'x.jpg', which is not a plain file, in the working directory."""
    monkeypatch.chdir(tmp_path)

    def make(kind: str) -> str:
        if kind == 'pipe':
            os.mkfifo('x.jpg')
        elif kind == 'socket':
            with socket.socket(socket.AF_UNIX) as server:
                server.bind('x.jpg')
        elif kind == 'folder':
            os.mkdir('x.jpg')
        elif kind == 'link to a pipe':
            os.mkfifo('pipe')
            os.symlink('pipe', 'x.jpg')
        else:
            os.symlink({'device': '/dev/null', 'terminal': '/dev/ptmx'}[kind], 'x.jpg')
        return 'x.jpg'

    return make


def write_image(path: Path) -> Path:
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(path)
    return path


@pytest.mark.parametrize('kind', KINDS)
def test_no_reader_of_images_takes_anything_but_a_plain_file(other, kind):
    path = other(kind)
    with pytest.raises(NotPlainFileError, match=r'^x\.jpg is a [a-z ]+, not a plain file; name [a-z ]+$'):
        read_plain_file(path)
    with pytest.raises(ValueError, match=r'^x\.jpg is a .*, not an? [ip]'):
        READ(path)
    with pytest.raises(BadImageError, match=r'x\.jpg \(.*7\) is a .*, not a plain file; name [a-z ]+$'):
        LoadImage().transform({'img_path': path, 'img_id': 7, 'height': 40, 'width': 60})
    skipped = LoadImage().transform({'img_path': path, 'height': 40, 'width': 60, 'on_bad_image': 'skip'})
    assert 'not a plain file' in skipped['skipped']
    assert skipped['img'].shape == (40, 60, 3)


def test_a_pipe_is_never_opened(other, monkeypatch):
    path, opened = other('pipe'), []
    monkeypatch.setattr(os, 'open', lambda *args: opened.append(args))
    with pytest.raises(NotPlainFileError):
        read_plain_file(path)
    assert not opened


@pytest.mark.parametrize('kind', ['pipe', 'folder'])
def test_a_file_replaced_between_stat_and_open_is_found(other, tmp_path, monkeypatch, kind):
    path, plain = other(kind), os.stat(write_image(tmp_path / 'a.png'))
    monkeypatch.setattr(plain_file_module.os, 'stat', lambda _: plain)
    with pytest.raises((NotPlainFileError, FileReadError)):
        read_plain_file(path)


@pytest.mark.parametrize('path', ['/proc/self/status', '/proc/kmsg', '/proc/self/environ', '/proc/self/mem'])
def test_files_of_proc_are_empty_files(path):
    if not os.access(path, os.R_OK):
        pytest.skip('the file cannot be read here')
    for read in (READ, lambda path: LoadImage().transform({'img_path': path})):
        with pytest.raises((ValueError, PermissionError), match=r'it is empty|Operation not permitted'):
            read(path)


def test_a_file_without_an_end_is_not_read(tmp_path):
    image = write_image(tmp_path / 'x.jpg')
    os.truncate(image, 2**40)
    for read in (READ, lambda path: LoadImage().transform({'img_path': str(path)})):
        with pytest.raises(ValueError, match=r'x\.jpg has 1,099,511,627,776 bytes, more than the 1,500,000,000 that'):
            read(image)
    with pytest.raises(NotPlainFileError, match='more than the 10 that are read'):
        read_plain_file(write_image(tmp_path / 'y.png'), max_bytes=10)


def test_plain_files_and_links_to_them_are_read_whole(tmp_path):
    image = write_image(tmp_path / 'x.png')
    (tmp_path / 'link.png').symlink_to(image)
    for path in (image, str(image), tmp_path / 'link.png'):
        assert read_plain_file(path) == image.read_bytes()
        assert READ(path).size == (40, 60)
    with open_plain_file(image) as file:
        assert not isinstance(file, io.BytesIO)
    (tmp_path / 'empty').touch()
    assert read_plain_file(tmp_path / 'empty') == b''
    with pytest.raises(FileNotFoundError):
        read_plain_file(tmp_path / 'none')


@pytest.mark.parametrize('path', ['a\0b.jpg', 'x' * 5000])
def test_a_path_that_no_file_has_is_no_image(path):
    with pytest.raises(FileNotFoundError, match=r'^the image .{1,200} does not exist(: no path .* character)?$'):
        READ(path)


@pytest.mark.parametrize('kind', ['pipe', 'socket', 'device', 'link to a pipe'])
def test_paths_of_a_command_line_must_be_plain_files(other, tmp_path, kind):
    path = other(kind)
    with pytest.raises(ValueError, match=r'^x\.jpg is a .*, not a plain file; [^\n]+$'):
        find_images([path], tmp_path / 'out')
    # Of a folder or glob the images are taken.
    write_image(tmp_path / 'a.png')
    for named in ('.', './*.*'):
        assert [Path(each.source).name for each in find_images([named], tmp_path / 'out')] == ['a.png']


def test_a_pipe_among_many_images_is_one_failure(other, tmp_path):
    path, image = other('pipe'), str(write_image(tmp_path / 'a.png'))
    outcome = BatchResult()
    images = [ImageFile(path, Path('x')), ImageFile(image, Path('a'))]
    batches = list(readable_batches((read_file(READ, each) for each in images), RunOptions(batch_size=2), outcome))
    assert [image.name for _, image in batches[0]] == [image]
    assert [failed for failed, _ in outcome.failures] == [path]


def test_masks_stay_in_the_output_folder_if_a_glob_has_parent_folders(tmp_path):
    for name in ('a/b/c', 'images'):
        (tmp_path / name).mkdir(parents=True)
    write_image(tmp_path / 'images/x.png')
    named = str(tmp_path / 'a/b/*/../../../images/*.png')
    assert [each.stem for each in find_images([named], tmp_path / 'out')] == [Path('images/x')]
    assert relative_path('/a/x.jpg', '/a/b/c') == Path('x.jpg')


def test_the_doctor_reads_plain_files_only(tmp_path):
    images, annotations = tmp_path / 'images', tmp_path / 'annotations'
    for folder in (images, annotations):
        folder.mkdir()
    names = ['0.jpg', '1.jpg', '2.jpg']
    os.mkfifo(images / names[0])
    (images / names[1]).symlink_to('/proc/self/status')
    (images / names[2]).symlink_to('/dev/null')
    document = {
        'images': [{'id': number, 'file_name': name, 'height': 40, 'width': 60} for number, name in enumerate(names)],
        'annotations': [{'id': number, 'image_id': number, 'category_id': 0, 'bbox': [5, 5, 20, 20], 'area': 400,
                         'iscrowd': 0, 'segmentation': [[5, 5, 25, 5, 25, 25, 5, 25]]} for number in range(3)],
        'categories': [{'id': 0, 'name': 'Quadruped Head', 'supercategory': 'Quadruped'}],
    }
    (annotations / 'train.json').write_text(json.dumps(document))
    found = {Path(each.file).name: (each.code, each.message) for each in examine(tmp_path).findings}
    assert found['0.jpg'] == found['2.jpg'] == ('unreadable-image', 'it is not a plain file')
    assert found['1.jpg'][0] == 'empty-image'


@pytest.mark.parametrize('kind', KINDS)
def test_a_label_map_is_a_plain_file(other, kind):
    labels, (code, message) = read_map(Path(other(kind)), 40, 60)
    assert labels is None
    assert (code, message[:8]) == ('unreadable-map', 'it is a ')
    assert 'not a plain file' in message


def test_a_label_map_of_proc_is_no_image():
    _, fault = read_map(Path('/proc/self/status'), 40, 60)
    assert fault == ('unreadable-map', 'it is not an image that Pillow reads')
