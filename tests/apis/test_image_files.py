from pathlib import Path

import pytest

from mmpartref.apis.image_files import find_images


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b'')


def places(root: Path, *named: str, out_dir: str = 'outputs') -> dict[str, str]:
    """The images found below root, and the folders of their outputs."""
    found = find_images(named, root / out_dir)
    return {str(Path(each.source).relative_to(root)) if each.source.startswith(str(root)) else each.source:
            each.stem.as_posix() for each in found}


def test_a_folder_gives_its_images_with_their_relative_paths(tmp_path):
    make(tmp_path, 'in/b.jpg', 'in/a.PNG', 'in/deep/er/a.jpeg', 'in/notes.txt', 'in/odd.name.webp', 'in/none')
    assert places(tmp_path, str(tmp_path / 'in')) == {
        'in/a.PNG': 'a', 'in/b.jpg': 'b', 'in/deep/er/a.jpeg': 'deep/er/a', 'in/odd.name.webp': 'odd.name'}


def test_globs_match_files_and_preserve_their_relative_paths(tmp_path):
    make(tmp_path, 'in/one/a.jpg', 'in/two/a.jpg', 'in/two/b.gif', 'in/x.jpg')
    assert places(tmp_path, f'{tmp_path}/in/**/*.jpg') == {
        'in/one/a.jpg': 'one/a', 'in/two/a.jpg': 'two/a', 'in/x.jpg': 'x'}
    assert places(tmp_path, f'{tmp_path}/in/two/?.*') == {'in/two/a.jpg': 'a', 'in/two/b.gif': 'b'}
    assert places(tmp_path, f'{tmp_path}/in/*') == {'in/x.jpg': 'x'}
    # A file whose name looks like a glob is that file.
    make(tmp_path, 'in/a[1].jpg')
    assert places(tmp_path, f'{tmp_path}/in/a[1].jpg') == {'in/a[1].jpg': 'a[1]'}


def test_no_two_images_share_a_place(tmp_path):
    make(tmp_path, 'left/a.jpg', 'right/a.jpg', 'right/a.png', 'right/b.jpg')
    assert places(tmp_path, f'{tmp_path}/left/a.jpg', f'{tmp_path}/right/a.jpg') == {
        'left/a.jpg': 'left/a', 'right/a.jpg': 'right/a'}
    assert places(tmp_path, f'{tmp_path}/right') == {
        'right/a.jpg': 'a_jpg', 'right/a.png': 'a_png', 'right/b.jpg': 'b'}
    make(tmp_path, 'case/P.jpg', 'case/p.jpg', 'case/p_jpg.gif')
    found = places(tmp_path, f'{tmp_path}/case')
    assert found == {'case/P.jpg': 'P_jpg', 'case/p.jpg': 'p_jpg_2', 'case/p_jpg.gif': 'p_jpg_3'}
    assert len({stem.lower() for stem in found.values()}) == 3


def test_an_image_named_twice_is_taken_once(tmp_path):
    make(tmp_path, 'in/a.jpg')
    (tmp_path / 'link.jpg').symlink_to(tmp_path / 'in/a.jpg')
    named = (f'{tmp_path}/in/a.jpg', f'{tmp_path}/in', f'{tmp_path}/in/../in/a.jpg', f'{tmp_path}/link.jpg')
    assert places(tmp_path, *named) == {'in/a.jpg': 'a'}


def test_urls_get_names_that_are_files(tmp_path):
    urls = ['https://example.org/images/a%20dog.jpg?size=1', 'https://example.org/', 'http://example.org/..',
            'http://example.org/%2e%2e%2fetc%2fpasswd', 'http://other.org/images/a%20dog.jpg']
    found = [each.stem.as_posix() for each in find_images([*urls, urls[0]], tmp_path)]
    assert found == ['a_dog_jpg', 'image', 'image_2', 'passwd', 'a_dog_jpg_2']


def test_earlier_results_are_no_images(tmp_path):
    make(tmp_path, 'in/a.jpg', 'in/out/a_0.png', 'in/outside/b.png')
    expected = {'in/a.jpg': 'a', 'in/outside/b.png': 'outside/b'}
    assert places(tmp_path, f'{tmp_path}/in', out_dir='in/out') == expected
    assert places(tmp_path, f'{tmp_path}/in/**/*.*', out_dir='in/out') == expected
    # Named itself, or below an output folder that holds the images too, it is one.
    assert places(tmp_path, f'{tmp_path}/in/out/a_0.png', out_dir='in/out') == {'in/out/a_0.png': 'a_0'}
    assert len(places(tmp_path, f'{tmp_path}/in', out_dir='.')) == 3
    with pytest.raises(ValueError, match='the output folder: give another'):
        places(tmp_path, f'{tmp_path}/in', out_dir='in')


def test_missing_files_raise_an_error(tmp_path):
    make(tmp_path, 'in/notes.txt')
    for named, message in ((f'{tmp_path}/none.jpg', r'the image, folder or glob .*none\.jpg does'),
                           (f'{tmp_path}/in', 'the folder .* has no image'),
                           (f'{tmp_path}/*.jpg', r'the glob .*\*\.jpg. matches no file')):
        with pytest.raises(FileNotFoundError, match=message):
            find_images([named], tmp_path / 'out')


def test_hidden_files_and_thumbnails_are_no_images(tmp_path):
    make(tmp_path, *(f'.hidden/in/{name}' for name in (
        'a.jpg', '._a.jpg', '.thumbnails/a.png', '@eaDir/a.jpg/T.jpg', '__MACOSX/in/a.jpg', 'deep/b.jpg',
        'deep/@eaDir/b.jpg')))
    folder = tmp_path / '.hidden' / 'in'
    expected = {'.hidden/in/a.jpg': 'a', '.hidden/in/deep/b.jpg': 'deep/b'}
    assert places(tmp_path, str(folder)) == expected
    assert places(tmp_path, f'{folder}/**/*.jpg') == expected
    # A file that is named is an image.
    assert places(tmp_path, f'{folder}/._a.jpg') == {'.hidden/in/._a.jpg': '._a'}
    for name in ('a.jpg', 'deep/b.jpg'):
        (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match='has no image'):
        places(tmp_path, str(folder))
