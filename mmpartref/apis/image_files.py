"""From what a command line names to photos, and to the files their answers go to."""
import glob
import os
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.plain_file import check_plain
from mmpartref.images.image_url import is_url
from mmpartref.images.read_image import SUFFIXES
from mmpartref.text import shown_name


@dataclass(frozen=True)
class FoundPhoto:
    """A photo that was named.

    Attributes:
        source: path or URL.
        stem: where its answers go, below the output folder, without a suffix; no other photo has the same.
    """
    source: str
    stem: Path


def find_photos(named: Sequence[str], out_dir: str | Path) -> list[FoundPhoto]:
    """Return the photos behind files, folders (with all folders inside), globs and URLs, each once.

    A photo keeps its place below the folder or glob it was found in. Where two would get the same place they keep it
    below the deepest folder they have in common, then their suffix is added ("dog_png"), then a number. What lies in
    the output folder is an earlier answer and left out.

    Raises:
        FileNotFoundError: one of them leads to nothing.
        ValueError: the output folder is one of the folders, or one is neither a folder nor a plain file.
    """
    places: dict[str, Path] = {}
    seen: set[str] = set()
    for each in named:
        for source, root in expand(each, Path(out_dir)):
            real = source if is_url(source) else os.path.realpath(source)
            if real not in seen:
                seen.add(real)
                places[source] = place_of(source, root)
    return [FoundPhoto(source, stem) for source, stem in zip(places, distinct(places), strict=True)]


def expand(named: str, out_dir: Path) -> list[tuple[str, str]]:
    """Return (file or URL, the folder it was found below) of everything that one argument names."""
    if is_url(named) or os.path.isfile(named):
        return [(named, os.path.dirname(named))]
    if os.path.isdir(named):
        if out_dir.resolve() == Path(named).resolve():
            raise InputError(f'{named} holds the photos and is the output folder: give another, or the next run would '
                             'take the masks for photos')
        files = [path for path in Path(named).rglob('*') if path.suffix.lower() in SUFFIXES]
        found = [str(path) for path in sorted(files) if os.path.isfile(path) and not below(path, out_dir, named)]
        root, nothing = named, f"the folder {named} has no photo (a file that ends in {', '.join(SUFFIXES)})"
    elif glob.has_magic(named):
        fixed = named[:min(named.index(each) for each in '*?[' if each in named)]
        root, nothing = os.path.dirname(fixed), f'the glob {named!r} fits no file'
        found = [path for path in sorted(glob.glob(named, recursive=True))
                 if os.path.isfile(path) and not below(Path(path), out_dir, root)]
    else:
        if os.path.exists(named):
            check_plain(os.stat(named), shown_name(named))
        raise MissingFileError(f'there is no photo, folder or glob {named}')
    if not found:
        raise MissingFileError(nothing)
    return [(path, root) for path in found]


def below(path: Path, out_dir: Path, root: str) -> bool:
    """Tell whether a file lies in the output folder, and that inside the folder which is searched."""
    out, searched = out_dir.resolve(), Path(root or '.').resolve()
    return out != searched and searched in out.parents and out in path.resolve().parents


def place_of(source: str, root: str) -> Path:
    """Return a photo's path below ``root``, or the last name of a URL."""
    if is_url(source):
        name = urllib.parse.unquote(urllib.parse.urlsplit(source).path).rstrip('/').rsplit('/', 1)[-1]
        # A server's name for it may be no file name here.
        return Path(re.sub(r'[^\w.-]+', '_', name)[-100:].strip('.') or 'photo')
    place = Path(os.path.relpath(source, root or '.'))
    # The files of a glob can be outside its folder ('a/*/../../*.jpg'); the outputs must be in the output folder.
    return Path(*[part for part in place.parts if part != '..'])


def distinct(places: dict[str, Path]) -> list[Path]:
    """Return one stem per place, different also where upper and lower case are the same."""
    stems = [place.with_suffix('') for place in places.values()]
    if repeated(stems):
        local = [os.path.abspath(source) for source in places if not is_url(source)]
        common = os.path.commonpath([os.path.dirname(path) for path in local]) if local else ''
        where = [place if is_url(source) else Path(os.path.relpath(os.path.abspath(source), common))
                 for source, place in places.items()]
        stems = [place.with_suffix('') for place in where]
        twice = repeated(stems)
        stems = [place.with_name(place.name.replace('.', '_')) if folded(stem) in twice else stem
                 for place, stem in zip(where, stems, strict=True)]
    return numbered(stems)


def folded(path: Path) -> str:
    """Return what tells paths apart on a file system that ignores case."""
    return str(path).casefold()


def repeated(stems: Iterable[Path]) -> set[str]:
    """Return the folded stems that occur more than once."""
    return {stem for stem, count in Counter(map(folded, stems)).items() if count > 1}


def numbered(stems: Sequence[Path]) -> list[Path]:
    """Add ``_2``, ``_3``, ... to what is still the same."""
    twice = repeated(stems)
    taken = {folded(stem) for stem in stems} - twice
    free = []
    for stem in stems:
        number, candidate = 1, stem
        while folded(stem) in twice and folded(candidate) in taken:
            number += 1
            candidate = stem.with_name(f'{stem.name}_{number}')
        taken.add(folded(candidate))
        free.append(candidate)
    return free


def protect(outputs: Iterable[Path], inputs: Iterable[str | Path]) -> None:
    """Check that no output is an input.

    Raises:
        ValueError: one is; names it.
    """
    precious = {Path(each).resolve() for each in inputs}
    for output in outputs:
        if output.resolve() in precious:
            raise InputError(f'{output} is an input and would be overwritten; give another --out-dir or --json')
