"""Find the files of a part dataset: PartImageNet's layouts, or any COCO json in them."""
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmpartref.datasets.coco.findings import Finding, Findings
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import IMAGE_LAYOUTS, base_name
from mmpartref.errors import MissingFileError, NotAFolderError

SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class SplitFiles:
    """A split: its json and the folders of its images and label maps, which need not exist."""
    name: str
    ann_file: Path
    image_dir: Path
    map_dir: Path


@dataclass(frozen=True)
class FileIndex:
    """The files below a folder, by path relative to it ('/' between folders) and by base name."""
    folder: Path
    paths: frozenset[str]
    by_name: dict[str, list[str]] = field(repr=False)


def index_files(folder: Path, suffix: str = '') -> FileIndex:
    """Return the files below a folder that end in ``suffix``; hidden ones are ignored."""
    paths = []
    for place, folders, files in os.walk(folder, followlinks=True):
        # A link to one of its parent folders would be followed in circles.
        folders[:] = sorted(name for name in folders if not name.startswith('.')
                            and not Path(place).resolve().is_relative_to(Path(place, name).resolve()))
        inside = Path(place).relative_to(folder)
        paths += [(inside / name).as_posix() for name in sorted(files)
                  if name.endswith(suffix) and not name.startswith('.')]
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(base_name(path), []).append(path)
    return FileIndex(folder, frozenset(paths), by_name)


def find_splits(root: Path, annotations: Path | None, findings: Findings) -> list[SplitFiles]:
    """Find the json of each split, as ``train/train.json`` or ``train.json``.

    Args:
        root: folder with ``images`` and ``annotations``.
        annotations: folder to look for the json files in instead of ``root/annotations``.

    Raises:
        MissingFileError: there is no such folder, or no json in it.
        NotAFolderError: it is not a folder.
    """
    if not root.exists():
        raise MissingFileError(f'{root} does not exist; name the folder with images/ and annotations/')
    if not root.is_dir():
        raise NotAFolderError(f'{root} is a file; name the folder with images/ and annotations/')
    folder = annotations or root / 'annotations'
    splits = []
    for name in SPLITS:
        files = [path for path in (folder / name / f'{name}.json', folder / f'{name}.json') if path.exists()]
        if not files:
            continue
        if len(files) == 2:
            findings.add(Finding('two-jsons', '', f'{findings.name(files[0])} was examined', name), files[1])
        images = root / 'images'
        image_dir = images / name
        splits.append(SplitFiles(name, files[0], image_dir if image_dir.is_dir() else images,
                                 root / 'annotations' / name))
    if not splits:
        raise MissingFileError(f'no train.json, val.json or test.json below {folder}; expected is '
                               f'{folder.name}/train/train.json or {folder.name}/train.json')
    for name in SPLITS:
        if name not in {split.name for split in splits}:
            findings.add(Finding('missing-split', '', f'there is no {name}.json', name), folder)
    return splits


def choose_layout(file_names: Iterable[str], index: FileIndex, partimagenet: bool) -> str:
    """Return the key of ``IMAGE_LAYOUTS`` under which most images are found."""
    if not partimagenet:
        return next(iter(IMAGE_LAYOUTS))
    found: Counter[str] = Counter()
    for name in file_names:
        found.update({key: int(path(name) in index.paths) for key, path in IMAGE_LAYOUTS.items()})
    return max(IMAGE_LAYOUTS, key=lambda key: found[key])
