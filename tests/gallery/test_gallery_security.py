"""A gallery writes and deletes nothing outside its folder, and shows no file from outside the folder of the images."""
import errno
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import mmpartref.gallery.folder as folder_module
import mmpartref.gallery.gallery_build as build_module
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.gallery import Options, build_gallery
from mmpartref.gallery.folder import FORMAT, MARKER, gallery_folder
from mmpartref.gallery.gallery_images import image_paths


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """A test that waits for a pipe or a device fails after some seconds."""
    def stop(*_: object) -> None:
        pytest.fail('it waits')

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Another folder, with files that carry the names of a gallery's."""
    folder = tmp_path / 'outside'
    for name in ('0.jpg', '1.jpg', '0_0.jpg', 'index.html', 'gallery.css', 'store.js', 'images/0.js', 'index.js',
                 'thesis.txt', MARKER):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('mine')
    return folder


def state(folder: Path) -> dict[str, bytes | str]:
    """Return everything in a folder: content of files, targets of links."""
    return {str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_symlink() or path.is_file()}


def add_to_manifest(out: Path, *names: object) -> None:
    manifest = json.loads((out / MARKER).read_text())
    (out / MARKER).write_text(json.dumps({**manifest, 'files': [*manifest['files'], *names]}))


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob('*') if '.part' in path.name or '.both' in path.name]


# What an old gallery's manifest names is deleted.


@pytest.mark.parametrize('name', ['mine/thesis.txt', 'mine/./thesis.txt', 'mine//thesis.txt', 'deep/mine/thesis.txt'])
def test_nothing_is_deleted_through_a_linked_folder(small_dump, tmp_path, outside, name):
    out, before = tmp_path / 'out', state(outside)
    build_gallery(small_dump(), out)
    (out / 'deep').mkdir()
    for link in ('mine', 'deep/mine'):
        (out / link).symlink_to(outside)
    add_to_manifest(out, name)
    build_gallery(small_dump(), out)
    assert state(outside) == before
    assert (out / 'mine').is_symlink()


def test_a_folder_that_becomes_empty_elsewhere_stays(small_dump, tmp_path):
    out, elsewhere = tmp_path / 'out', tmp_path / 'elsewhere'
    build_gallery(small_dump(), out)
    (elsewhere / 'empty').mkdir(parents=True)
    (out / 'link').symlink_to(elsewhere)
    (out / 'real').mkdir()
    add_to_manifest(out, 'link/empty/gone.txt', 'real/gone.txt')
    build_gallery(small_dump(), out)
    assert (elsewhere / 'empty').is_dir()
    assert (out / 'real').is_dir()


@pytest.mark.parametrize('name', ['', '.', '..', '../outside/thesis.txt', 'images/../../outside/thesis.txt', 'images',
                                  'a\0b', '\ud800', 'x' * 5000, 'index.html/x', '..\\outside\\thesis.txt', 'C:\\x.txt',
                                  '//x', 5, None, ['x']])
def test_a_name_that_is_no_file_of_the_gallery_is_passed_over(small_dump, tmp_path, outside, name):
    out, before = tmp_path / 'out', state(outside)
    build_gallery(small_dump(), out)
    add_to_manifest(out, name, str(outside / 'thesis.txt'))
    build_gallery(small_dump(), out)
    assert state(outside) == before
    assert (out / 'index.html').is_file()
    names = json.loads((out / MARKER).read_text())['files']
    assert name not in names


@pytest.mark.parametrize('kind', ['link', 'pipe', 'folder', 'socket'])
def test_only_plain_files_are_deleted(small_dump, tmp_path, outside, kind, monkeypatch):
    out = tmp_path / 'out'
    build_gallery(small_dump(), out)
    monkeypatch.chdir(out)  # the path of a socket must be short
    make_other('other', kind, outside / 'thesis.txt')
    add_to_manifest(out, 'other')
    build_gallery(small_dump(), out)
    assert os.path.lexists(out / 'other')
    assert (outside / 'thesis.txt').read_text() == 'mine'


def make_other(path: str, kind: str, target: Path) -> None:
    """Make something that is not a plain file."""
    if kind == 'link':
        os.symlink(target, path)
    elif kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'folder':
        os.mkdir(path)
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)


# What is written.


@pytest.mark.parametrize('name', ['images', 'thumbs', 'assets', 'data', 'data/images', 'compare_1', 'data/compare_1'])
@pytest.mark.parametrize('old', [True, False])
def test_nothing_is_written_through_a_linked_folder(small_dump, tmp_path, outside, name, old):
    out, dump, against = tmp_path / 'out', small_dump(), [small_dump('other.json')]
    if old:
        build_gallery(dump, out, against=against)
        (out / name).rename(tmp_path / 'moved')
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).symlink_to(outside)
    before, before_out = state(outside), state(out)
    with pytest.raises(FileExistsError, match=rf'^{re.escape(str(out / name))} is a link .*--out$'):
        build_gallery(dump, out, against=against, options=Options(overwrite=True))
    assert state(outside) == before
    assert state(out) == before_out
    assert not unfinished(tmp_path)


@pytest.mark.parametrize('name', ['index.html', 'images/0.jpg', 'thumbs/0_1.jpg', 'data/index.js', MARKER])
@pytest.mark.parametrize('kind', ['link', 'dangling', 'pipe', 'folder'])
def test_only_plain_files_are_replaced(small_dump, tmp_path, outside, name, kind):
    out, dump = tmp_path / 'out', small_dump()
    build_gallery(dump, out)
    (out / name).unlink()
    target = outside / ('thesis.txt' if kind == 'link' else 'new.txt')
    make_other(str(out / name), 'link' if kind == 'dangling' else kind, target)
    before = state(outside)
    with pytest.raises(FileExistsError, match=rf'^{re.escape(str(out / name))} is .*--out$'):
        build_gallery(dump, out, options=Options(overwrite=True))
    assert state(outside) == before
    assert os.path.lexists(out / name)
    assert not unfinished(tmp_path)


def test_a_manifest_that_is_a_link_or_a_pipe_is_no_gallery(small_dump, tmp_path, outside):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'thesis.txt').write_text('mine')
    (tmp_path / MARKER).write_text(json.dumps({'format': FORMAT, 'files': ['thesis.txt']}))
    (out / MARKER).symlink_to(tmp_path / MARKER)
    for options in (Options(), Options(overwrite=True)):
        with pytest.raises(FileExistsError):
            build_gallery(small_dump(), out, options=options)
    (out / MARKER).unlink()
    os.mkfifo(out / MARKER)
    with pytest.raises(FileExistsError):
        build_gallery(small_dump(), out)
    assert (out / 'thesis.txt').read_text() == 'mine'


@pytest.mark.parametrize('content', ['[' * 100_000, '{"format": ' + '9' * 5000 + '}', '\xff', 'null', '{}'])
def test_a_damaged_manifest_is_no_gallery(small_dump, tmp_path, content):
    out = tmp_path / 'out'
    out.mkdir()
    (out / MARKER).write_text(content, encoding='latin-1')
    with pytest.raises(FileExistsError, match='has files but no gallery'):
        build_gallery(small_dump(), out)


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(small_dump, tmp_path, outside, monkeypatch):
    out, dump = tmp_path / 'out', small_dump()
    build_gallery(dump, out)
    before = state(outside)
    write = build_module.write_pages

    def replace_folder(*args: object) -> None:
        write(*args)
        (out / 'images').rename(tmp_path / 'moved')
        (out / 'images').symlink_to(outside)

    monkeypatch.setattr(build_module, 'write_pages', replace_folder)
    with pytest.raises(FileExistsError, match='images is a link'):
        build_gallery(dump, out)
    (out / 'images').unlink()

    def replace_out(*args: object) -> None:
        write(*args)
        out.rename(tmp_path / 'old')
        out.symlink_to(outside)

    monkeypatch.setattr(build_module, 'write_pages', replace_out)
    with pytest.raises(FileExistsError, match='out became a link'):
        build_gallery(dump, out)
    assert state(outside) == before
    assert not unfinished(tmp_path)


def test_the_folder_itself_may_be_a_link(small_dump, tmp_path):
    real, out = tmp_path / 'disk/real', tmp_path / 'out'
    out.symlink_to(real)
    for _ in range(2):
        build_gallery(small_dump(), out)
        assert out.is_symlink()
        assert (real / 'index.html').is_file()
    (tmp_path / 'circle').symlink_to(tmp_path / 'circle')
    with pytest.raises(NotADirectoryError, match='circle is a circular link'):
        build_gallery(small_dump(), tmp_path / 'circle')


# What is read.


def with_paths(dump: str, *paths: str | None) -> str:
    """Give the images of a dump other paths; None leaves one as it is."""
    content = read_dump(dump)
    images = [replace(image, img_path=image.img_path if path is None else path)
              for image, path in zip(content.images, paths, strict=False)]
    PredictionDump(content.header, images).write(dump)
    return dump


@pytest.mark.parametrize('path', ['../x.jpg', 'val/../../x.jpg', '/images/val/../../../x.jpg', './../x.jpg', '..',
                                  'val/../1.jpg', '..\\x.jpg', 'val\\..\\..\\x.jpg'])
@pytest.mark.parametrize('below', [True, False])
def test_a_path_that_leads_out_of_its_folder_is_rejected(small_dump, world, tmp_path, monkeypatch, path, below):
    dump = with_paths(small_dump(), None, path)
    for place in (tmp_path, world.images.parent, world.images):
        cv2.imwrite(str(place / 'x.jpg'), np.zeros((60, 80, 3), np.uint8))
    monkeypatch.chdir(world.images)
    options = Options(images=str(world.images) if below else None, on_missing_image='skip')
    with pytest.raises(ValueError, match=rf"^the image with img_id 1 has the path {re.escape(path)} in "
                       rf"the dump, which leads out of its folder by '\.\.'; [^\n]+$"):
        build_gallery(dump, tmp_path / 'out', options=options)
    assert not (tmp_path / 'out').exists()


def test_a_single_image_does_not_climb_either(small_dump, world, tmp_path):
    cv2.imwrite(str(tmp_path / 'x.jpg'), np.zeros((60, 80, 3), np.uint8))
    for path in ('../x.jpg', '../../x.jpg', '/a/../x.jpg', 'val/../../x.jpg'):
        dump = with_paths(small_dump(), path)
        with pytest.raises(ValueError, match='img_id 0'):
            build_gallery(dump, tmp_path / 'out', options=Options(images=str(world.images)))


def test_an_absolute_path_is_looked_for_below_the_folder_of_the_images(small_dump, world, tmp_path):
    secret = tmp_path / 'secret.jpg'
    cv2.imwrite(str(secret), np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(FileNotFoundError, match='do not exist'):
        build_gallery(with_paths(small_dump(), None, str(secret)), tmp_path / 'out',
                      options=Options(images=str(world.images)))


def test_a_data_root_above_the_working_directory_needs_the_folder_of_the_images(small_dump, world, tmp_path):
    paths = [f'../data/images/val/{number}.jpg' for number in range(2)]
    dump = with_paths(small_dump(), *paths)
    with pytest.raises(ValueError, match='give the image folder with --images'):
        build_gallery(dump, tmp_path / 'out')
    for root in (world.images, world.images / 'val'):
        assert image_paths(read_dump(dump).images, root) == [world.images / f'val/{number}.jpg' for number in range(2)]


def test_links_that_the_user_made_are_followed(small_dump, world, tmp_path):
    dump, disk = small_dump(), tmp_path / 'disk'
    world.images.rename(disk)
    world.images.symlink_to(disk)
    (disk / 'val/1.jpg').rename(tmp_path / 'stored.jpg')
    (disk / 'val/1.jpg').symlink_to(tmp_path / 'stored.jpg')
    for images in (None, str(world.images)):
        assert build_gallery(dump, tmp_path / 'out', options=Options(images=images)).images == 2


@pytest.mark.parametrize('kind', ['pipe', 'folder', 'socket', 'device', 'proc', 'link'])
@pytest.mark.parametrize('below', [True, False])
def test_only_a_plain_file_is_read_as_an_image(small_dump, world, tmp_path, monkeypatch, kind, below):
    dump = small_dump()
    path = world.images / 'val/1.jpg'
    path.unlink()
    monkeypatch.chdir(path.parent)
    if kind in ('device', 'proc'):
        path.symlink_to('/dev/null' if kind == 'device' else '/proc/self/status')
    elif kind == 'link':
        os.mkfifo('pipe')
        path.symlink_to('pipe')
    else:
        make_other('1.jpg', kind, path)
    options = Options(images=str(world.images) if below else None, on_missing_image='skip')
    message = 'it is empty' if kind == 'proc' else 'not a plain file; '
    with pytest.raises(ValueError, match=rf'1\.jpg.*\(img_id 1\).*{message}'):
        build_gallery(dump, tmp_path / 'out', options=options)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('kind', ['pipe', 'folder', 'socket', 'device', 'proc'])
def test_only_a_plain_file_is_read_as_a_dump(small_dump, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    if kind in ('device', 'proc'):
        os.symlink('/dev/null' if kind == 'device' else '/proc/self/status', 'x.json')
    else:
        make_other('x.json', kind, tmp_path)
    message = 'not a complete json' if kind == 'proc' else 'a .*, not a plain file'
    for first, against in (('x.json', []), (small_dump(), ['x.json'])):
        with pytest.raises(ValueError, match=rf'^dump x\.json is {message}[^\n]+$'):
            build_gallery(first, tmp_path / 'out', against=against)


@pytest.mark.parametrize('path', ['a\0b.jpg', 'x' * 5000, 'line\nline.jpg'])
def test_a_path_that_no_file_has_is_a_missing_image(small_dump, tmp_path, path):
    with pytest.raises(FileNotFoundError, match=r'^1 of 2 images do not exist, the first is [^\n]{1,400}$'):
        build_gallery(with_paths(small_dump(), None, path), tmp_path / 'out')


# What is left after an error.


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def terminate(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1)


def leave(*_: object, **__: object) -> None:
    raise SystemExit(1)


@pytest.mark.parametrize('fault', [full_disk, interrupt, leave])
@pytest.mark.parametrize('step', ['write_assets', 'write_data', 'write_pages'])
def test_nothing_unfinished_is_left(small_dump, tmp_path, monkeypatch, fault: Callable, step):
    out, dump = tmp_path / 'out', small_dump()
    build_gallery(dump, out)
    before = state(tmp_path)
    monkeypatch.setattr(build_module, step, fault)
    with pytest.raises((OSError, KeyboardInterrupt, SystemExit)):
        build_gallery(dump, out, options=Options(title='new'))
    assert state(tmp_path) == before
    assert not unfinished(tmp_path)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_sigterm_leaves_nothing(small_dump, tmp_path, monkeypatch):
    out, dump = tmp_path / 'out', small_dump()
    before = state(tmp_path)
    monkeypatch.setattr(build_module, 'write_pages', terminate)
    child = os.fork()
    if not child:  # SIGTERM ends it one way or the other
        try:
            build_gallery(dump, out)
        except SystemExit as error:
            os._exit(error.code)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGTERM
    assert state(tmp_path) == before
    assert not unfinished(tmp_path)


@pytest.mark.parametrize('fault', [full_disk, interrupt, leave])
def test_an_old_gallery_is_still_known_if_its_place_cannot_be_taken(small_dump, tmp_path, monkeypatch, fault):
    out, dump = tmp_path / 'out', small_dump()
    build_gallery(dump, out)
    before, write = state(out), folder_module.write_manifest

    def write_half(folder: Path, files: list[str], *name: str) -> None:
        write(folder, files, *name)
        if name or folder == out:  # the manifest of both galleries
            (folder / (name or (MARKER, ))[0]).write_text('{"for')
            fault()

    monkeypatch.setattr(folder_module, 'write_manifest', write_half)
    with pytest.raises((OSError, KeyboardInterrupt, SystemExit)):
        build_gallery(dump, out)
    monkeypatch.undo()
    assert state(out) == before
    assert not unfinished(tmp_path)
    build_gallery(dump, out)


def test_a_custom_handler_stays(tmp_path):
    def handler(*_: object) -> None:
        pass

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with gallery_folder(tmp_path / 'out', overwrite=False) as part:
            assert signal.getsignal(signal.SIGTERM) is handler
            (part / 'index.html').touch()
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
