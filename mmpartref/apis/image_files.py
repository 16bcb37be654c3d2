"""The images that arguments refer to (files, folders, globs, URLs, arrays), and the names of their output files."""
import glob
import os
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mmpartref.argument_checks import check_path
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.plain_file import check_plain
from mmpartref.images.image_url import is_url
from mmpartref.images.read_image import SUFFIXES, DecodedImage
from mmpartref.text import shown_name

# Folders of thumbnails and of macOS's file attributes, which archives and network drives add; the others are hidden.
THUMBNAIL_FOLDERS = ('@eaDir', '__MACOSX')


@dataclass(frozen=True)
class ImageFile:
    """An image to predict.

    Attributes:
        source: path or URL, or the stem of an image that has neither.
        stem: path of its outputs relative to the output folder, without suffix; unique.
        name: path below the folder or glob that it was found in, with '/'; the source of a URL, and where two images
            have the same.
        number: its index among all images.
    """
    source: str
    stem: Path
    name: str = ''
    number: int = 0


def find_images(arguments: Sequence[str], out_dir: str | Path | None) -> list[ImageFile]:
    """Return the images of files, folders (searched recursively), globs and URLs, without repetitions.

    An image keeps its path relative to the folder or glob it was found in. Images with equal stems get paths relative
    to their deepest common folder, then their suffix is added ("dog_png"), then a number. Files in the output folder
    are outputs of an earlier run and skipped; None is no output folder. In folders, hidden files (as macOS's
    "._dog.jpg") and thumbnails are skipped, in globs the latter.

    Raises:
        FileNotFoundError: an argument matches no image.
        ValueError: the output folder is one of the folders, or an argument is neither a folder nor a plain file.
    """
    paths: list[tuple[str, Path]] = []
    seen: set[str] = set()
    for argument in arguments:
        for source, root in expand(argument, None if out_dir is None else Path(out_dir)):
            real = source if is_url(source) else os.path.realpath(source)
            if real not in seen:
                seen.add(real)
                paths.append((source, relative_path(source, root)))
    return named_files(paths)


def search_path(image: object) -> str:
    """Return an image argument that is the path of a folder, or a glob and not the path of a file; '' for others.

    Raises:
        InputTypeError, MissingFileError: see ``check_path``.
    """
    if not isinstance(image, (str, os.PathLike)) or (isinstance(image, str) and is_url(image)):
        return ''
    path = check_path(image, 'the image')
    return path if os.path.isdir(path) or (glob.has_magic(path) and not os.path.exists(path)) else ''


def name_images(images: Sequence[object]) -> list[ImageFile]:
    """Return the sources and stems of a list of images of any kind, repetitions included.

    Those of a file or URL, also of a PIL image or a ``DecodedImage``, are as in ``find_images``. An image of an array
    or another object is ``image_<its index in the list>``.
    """
    sources = [source_of(image) for image in images]
    paths = [(source, relative_path(source, os.path.dirname(source)) if source else Path(f'image_{index}'))
             for index, source in enumerate(sources)]
    return named_files(paths)


def named_files(paths: Sequence[tuple[str, Path]]) -> list[ImageFile]:
    """Return images with unique stems and names.

    Args:
        paths: (path, URL or '', relative path) of each image.
    """
    counts = Counter(path for _, path in paths)
    images = []
    for number, ((source, path), stem) in enumerate(zip(paths, unique_stems(paths), strict=True)):
        whole = source and (is_url(source) or counts[path] > 1)
        images.append(ImageFile(source or str(stem), stem, source if whole else path.as_posix(), number))
    return images


def source_of(image: object) -> str:
    """Return the path or URL that an image is or was read from, or ''."""
    name = image
    if isinstance(image, Image.Image):
        name = getattr(image, 'filename', '')
    elif isinstance(image, DecodedImage):
        name = image.name
    if not isinstance(name, (str, os.PathLike)):
        return ''
    path = check_path(name, 'the image') if isinstance(name, os.PathLike) else name
    return path if is_url(path) or os.path.isfile(path) else ''


def expand(argument: str, out_dir: Path | None) -> list[tuple[str, str]]:
    """Return (file or URL, folder that was searched) of all images of one argument."""
    if is_url(argument) or os.path.isfile(argument):
        return [(argument, os.path.dirname(argument))]
    if os.path.isdir(argument):
        if out_dir is not None and out_dir.resolve() == Path(argument).resolve():
            raise InputError(f'{argument} is both the image folder and the output folder: give another output folder, '
                             'or the next run would read the masks as images')
        root, message = argument, f"the folder {argument} has no image (a file that ends in {', '.join(SUFFIXES)})"
        paths = [str(path) for path in sorted(Path(argument).rglob('*')) if path.suffix.lower() in SUFFIXES
                 and not any(part.startswith('.') for part in path.relative_to(argument).parts)]
    elif glob.has_magic(argument):
        fixed = argument[:min(argument.index(each) for each in '*?[' if each in argument)]
        root, message = os.path.dirname(fixed), f'the glob {argument!r} matches no file'
        paths = sorted(glob.glob(argument, recursive=True))
    else:
        if os.path.exists(argument):
            check_plain(os.stat(argument), shown_name(argument))
        raise MissingFileError(f'the image, folder or glob {argument} does not exist')
    found = [(path, root) for path in paths if os.path.isfile(path)
             and not (out_dir is not None and is_output(Path(path), out_dir, root))
             and not set(Path(os.path.relpath(path, root or '.')).parts) & set(THUMBNAIL_FOLDERS)]
    if not found:
        raise MissingFileError(message)
    return found


def is_output(path: Path, out_dir: Path, root: str) -> bool:
    """Return whether a file is in ``out_dir``, and that is inside the searched folder ``root`` ('': current)."""
    out, searched = out_dir.resolve(), Path(root or '.').resolve()
    return out != searched and searched in out.parents and out in path.resolve().parents


def relative_path(source: str, root: str) -> Path:
    """Return an image's path relative to ``root``, or the last part of a URL as a file name."""
    if is_url(source):
        name = urllib.parse.unquote(urllib.parse.urlsplit(source).path).rstrip('/').rsplit('/', 1)[-1]
        return Path(re.sub(r'[^\w.-]+', '_', name)[-100:].strip('.') or 'image')
    path = Path(os.path.relpath(source, root or '.'))
    # The files of a glob can be outside its folder ('a/*/../../*.jpg'); the outputs must be in the output folder.
    return Path(*[part for part in path.parts if part != '..'])


def unique_stems(paths: Sequence[tuple[str, Path]]) -> list[Path]:
    """Return a stem per image, unique also on file systems that ignore case.

    Args:
        paths: (path, URL or '', relative path) of each image.
    """
    stems = [path.with_suffix('') for _, path in paths]
    if repeated(stems):
        local = [os.path.abspath(source) for source, _ in paths if is_local(source)]
        common = os.path.commonpath([os.path.dirname(path) for path in local]) if local else ''
        longer = [Path(os.path.relpath(os.path.abspath(source), common)) if is_local(source) else path
                  for source, path in paths]
        stems = [path.with_suffix('') for path in longer]
        duplicates = repeated(stems)
        stems = [path.with_name(path.name.replace('.', '_')) if folded(stem) in duplicates else stem
                 for path, stem in zip(longer, stems, strict=True)]
    return numbered(stems)


def is_local(source: str) -> bool:
    """Return whether a source is the path of a file: not a URL, and not ''."""
    return bool(source) and not is_url(source)


def folded(path: Path) -> str:
    """Return a path without the difference of upper and lower case."""
    return str(path).casefold()


def repeated(stems: Iterable[Path]) -> set[str]:
    """Return the folded stems that occur more than once."""
    return {stem for stem, count in Counter(map(folded, stems)).items() if count > 1}


def numbered(stems: Sequence[Path]) -> list[Path]:
    """Append ``_2``, ``_3``, ... to duplicates."""
    duplicates = repeated(stems)
    taken = {folded(stem) for stem in stems} - duplicates
    unique = []
    for stem in stems:
        number, candidate = 1, stem
        while folded(stem) in duplicates and folded(candidate) in taken:
            number += 1
            candidate = stem.with_name(f'{stem.name}_{number}')
        taken.add(folded(candidate))
        unique.append(candidate)
    return unique
