"""ToyParts: a synthetic dataset with PartImageNet's 40 part categories, in the layout of its Seg split.

    ROOT/images/{split}/<synset>_<id>.JPEG
    ROOT/annotations/{split}/{split}.json              COCO
    ROOT/annotations/{split}/<synset>_<id>.png         part label map, background 40
    ROOT/annotations/{split}_whole/<synset>_<id>.png   object label map (position in load_synsets()), background 158
    ROOT/toyparts.json                                 manifest, written last: without it the dataset is incomplete
"""
import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmpartref.argument_checks import check_integer, check_path, check_sequence
from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES, PARTS, SUPER_CATEGORIES
from mmpartref.datasets.toyparts.toy_scene import compose_scene
from mmpartref.errors import FileInTheWayError, FileWriteError, InputError, InputTypeError
from mmpartref.files.atomic_write import write_text
from mmpartref.files.json_files import load_json
from mmpartref.files.output_path import write_errors
from mmpartref.progress import track
from mmpartref.text import shown

SPLITS = ('train', 'val', 'test')
MAX_SCENES = 999_999  # of a split
VERSION = 1  # to be increased whenever the same seed gives other pixels or another json
MANIFEST = 'toyparts.json'
DESCRIPTION = 'ToyParts: drawn objects with the parts of PartImageNet'  # in ``info`` of each json
MIN_SIDE = 64  # px; in smaller images most small parts have less than the minimum area of an annotation
MAX_SIDE = 8192  # px; an array of three numbers per pixel has 0.6 GB
_MIN_SCENES_OF_BAR = 100  # scenes; fewer take only a few seconds
_JPEG_QUALITY = 92

_Task = tuple[Path, str, int, int, tuple[int, int]]


def make_toyparts(out_dir: str | Path, *, splits: Mapping[str, int], size: tuple[int, int] = (256, 192), seed: int = 0,
                  workers: int | None = None) -> dict[str, Any]:
    """Draw the dataset, or reuse an existing one with the same parameters.

    Scene ``index`` of a split depends on (seed, split, index, size) alone, not on ``workers`` or the number of scenes.

    Args:
        out_dir: made if it does not exist; must be empty or contain a complete ToyParts with the same parameters.
        splits: number of scenes by split, of 'train', 'val', 'test'.
        size: (w, h) of every image in pixels.
        workers: processes; None: one per processor.

    Returns:
        {'out_dir', 'reused', 'version', 'seed', 'size': [w, h], 'splits': {split: {'images', 'annotations',
        'categories': {category name: annotations}}}}.

    Raises:
        InputTypeError: a parameter is of another type.
        InputError: a parameter is out of range.
        FileInTheWayError: ``out_dir`` has other content.
    """
    root = Path(check_path(out_dir, 'out_dir'))
    splits, size, seed = _check_splits(splits), _check_size(size), check_integer(seed, 'seed', 0)
    if workers is not None:
        check_integer(workers, 'workers')
    parameters = {'version': VERSION, 'seed': seed, 'size': list(size)}
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        manifest = _read_complete(root, parameters, splits)
        print(f'{root} has this ToyParts already ({sum(splits.values())} scenes, seed {seed}): reused')
        return {'out_dir': str(root), 'reused': True, **manifest}
    counts = {}
    with _mapper(workers, sum(splits.values())) as apply:
        for split in (name for name in SPLITS if name in splits):
            counts[split] = _make_split(root, split, splits[split], seed, size, apply)
    manifest = {**parameters, 'splits': counts}
    write_text(root / MANIFEST, json.dumps(manifest, indent=1) + '\n')
    return {'out_dir': str(root), 'reused': False, **manifest}


def is_toyparts(document: Mapping[str, Any]) -> bool:
    """Return whether a COCO json is one of ToyParts."""
    info = document.get('info')
    return isinstance(info, dict) and info.get('description') == DESCRIPTION


def _check_splits(splits: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(splits, Mapping):
        raise InputTypeError(f'splits={shown(splits)} should be a dict, e.g. dict(train=100, val=20, test=20)')
    unknown = [shown(name) for name in splits if name not in SPLITS]
    if unknown or not splits:
        raise InputError(f'splits must name some of {", ".join(SPLITS)}, got {", ".join(unknown) or "none"}')
    return {split: check_integer(count, f'splits[{split!r}]', 1, MAX_SCENES) for split, count in splits.items()}


def _check_size(size: Sequence[int]) -> tuple[int, int]:
    sides = check_sequence(size, 'size', 'width and height')
    if len(sides) != 2:
        raise InputError(f'size={shown(size)} should be (width, height) in pixels')
    width, height = check_integer(sides[0], 'size[0]', MIN_SIDE), check_integer(sides[1], 'size[1]', MIN_SIDE)
    if max(width, height) > MAX_SIDE:
        raise InputError(f'size={shown(size)} must be at most {MAX_SIDE} pixels')
    return width, height


def _read_complete(root: Path, parameters: dict[str, Any], splits: Mapping[str, int]) -> dict[str, Any]:
    """Return the manifest of a complete dataset with these parameters; raises a ``FileInTheWayError`` for any other."""
    advice = 'choose another folder or delete this one'
    path = root / MANIFEST
    if not path.is_file():
        raise FileInTheWayError(f'{root} is neither empty nor a complete ToyParts (it has no {MANIFEST}); {advice}')
    try:
        manifest: dict[str, Any] = load_json(path)
        found = {**{key: manifest[key] for key in parameters},
                 'splits': {split: record['images'] for split, record in manifest['splits'].items()}}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileInTheWayError(f'{path} cannot be read as a manifest of ToyParts ({error!r}); {advice}') from error
    wanted = {**parameters, 'splits': dict(splits)}
    if found != wanted:
        raise FileInTheWayError(f'{root} has another ToyParts: {found}, expected {wanted}; {advice}')
    for split, count in splits.items():
        for folder, pattern in ((f'images/{split}', '*.JPEG'), (f'annotations/{split}', '*.png'),
                                (f'annotations/{split}_whole', '*.png'), (f'annotations/{split}', f'{split}.json')):
            wanted_files = 1 if pattern.endswith('.json') else count
            files = sum(1 for _ in (root / folder).glob(pattern))
            if files != wanted_files:
                raise FileInTheWayError(f'{root / folder} has {files} files {pattern} instead of {wanted_files}; '
                                        f'{advice}')
    return manifest


@contextmanager
def _mapper(workers: int | None, scenes: int) -> Iterator[Any]:
    """Yield a ``map`` that preserves order, with up to ``workers`` processes, one for each 8 scenes."""
    count = min(workers or os.cpu_count() or 1, scenes // 8)
    if count <= 1:
        yield map
        return
    # Forked processes need not import the package again; forking is safe on Linux only.
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
    with context.Pool(count, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        yield lambda function, tasks: pool.imap(function, tasks, chunksize=4)


def _make_split(root: Path, split: str, count: int, seed: int, size: tuple[int, int], apply: Any) -> dict[str, Any]:
    """Write one split and return its counts."""
    for folder in (f'images/{split}', f'annotations/{split}', f'annotations/{split}_whole'):
        with write_errors(root):
            (root / folder).mkdir(parents=True, exist_ok=True)
    tasks: list[_Task] = [(root, split, index, seed, size) for index in range(count)]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    scenes = apply(_write_scene, tasks)
    for image, records in track(scenes, f'{split} scenes', total=count, min_items=_MIN_SCENES_OF_BAR):
        images.append(image)
        annotations += [{'id': len(annotations) + number, 'image_id': image['id'], **record}
                        for number, record in enumerate(records, start=1)]
    coco = {'info': {'description': DESCRIPTION, 'version': VERSION, 'seed': seed, 'split': split},
            'images': images, 'annotations': annotations,
            'categories': [{'id': CATEGORY_NAMES.index(f'{owner} {part}'), 'name': f'{owner} {part}',
                            'supercategory': owner} for owner, parts in PARTS.items() for part in parts]}
    path = root / 'annotations' / split / f'{split}.json'
    write_text(path, json.dumps(coco, separators=(',', ':')))
    histogram = Counter(record['category_id'] for record in annotations)
    return {'images': count, 'annotations': len(annotations),
            'categories': {name: histogram[number] for number, name in enumerate(CATEGORY_NAMES)}}


def _write_scene(task: _Task) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Draw and write one scene; returns its COCO image record and its annotations without ids."""
    root, split, index, seed, size = task
    stream = SPLITS.index(split)
    # The first object's super-category cycles through all eleven, in a random order of the split, so that a small split
    # has them all; everything else is drawn from the scene's generator.
    order = np.random.default_rng([seed, stream]).permutation(len(SUPER_CATEGORIES))
    scene = compose_scene(np.random.default_rng([seed, stream, index]), SUPER_CATEGORIES[order[index % len(order)]],
                          size)
    image_id = (stream + 1) * 1_000_000 + index
    stem = f'{scene.synset}_{image_id}'
    _write_image(root / 'images' / split / f'{stem}.JPEG', scene.image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    _write_image(root / 'annotations' / split / f'{stem}.png', scene.part_map, [])
    _write_image(root / 'annotations' / f'{split}_whole' / f'{stem}.png', scene.object_map, [])
    return ({'id': image_id, 'file_name': f'{stem}.JPEG', 'width': size[0], 'height': size[1]}, scene.annotations)


def _write_image(path: Path, pixels: Any, options: list[int]) -> None:
    written, code = cv2.imencode('.jpg' if path.suffix == '.JPEG' else path.suffix, pixels, options)
    if not written:
        raise FileWriteError(f'{path} cannot be encoded by OpenCV; reinstall opencv-python')
    path.write_bytes(code.tobytes())
