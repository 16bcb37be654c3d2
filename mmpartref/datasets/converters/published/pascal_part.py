"""PASCAL-Part as published: one .mat per photo of VOC 2010 in ``Annotations_Part``.

Paper: Chen et al., Detect What You Can: Detecting and Representing Objects using Holistic Models and Body Parts (CVPR
2014). Format: ``part2ind.m`` and ``mat2map.m`` of its archive.
"""
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mmpartref.datasets.converters.mask_document import MaskDocument, category_records, files_of
from mmpartref.datasets.converters.published.pascal_part_names import CLASSES, PARTS, category_names, part_key
from mmpartref.datasets.converters.standard_json import Document, account, compare, field
from mmpartref.errors import InputError, MissingFileError, MissingPackageError

SOURCE = 'PASCAL-Part'
# Photos of trainval, which is all that was published.
KNOWN_PHOTOS = 10103
REMEDY = 'use the file as it was published'


def read_mat(path: Path) -> dict[str, Any]:
    """Return the struct ``anno`` of a .mat as dicts and arrays.

    Raises:
        ImportError: there is no SciPy.
        ValueError: the file is damaged, or has no ``anno``.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingPackageError(f'PASCAL-Part is read with SciPy, which does not load here ({error}): pip install '
                                  'scipy, or this package with its extra pascal') from None
    try:
        content = loadmat(path, simplify_cells=True)
    except Exception as error:  # a damaged file raises almost anything
        raise InputError(f'{path} is no whole .mat ({error or type(error).__name__}); unpack it again') from None
    return field(content, 'anno', dict, str(path))


def records_of(value: Any) -> list[Any]:
    """Return the elements of a struct array: SciPy gives none, one or several in different forms."""
    return [value] if isinstance(value, dict) else list(np.atleast_1d(value))


def convert_pascal_part(folder: str | Path, names_file: str | Path | None = None) -> tuple[Document, list[str]]:
    """Return the json of the parts, and lines that count what was kept and left out.

    A category's name is the class and the abbreviation, ``'horse:lfuleg'``, and its words are "horse" and "left front
    upper leg"; numbered parts (``wheel_1``, ``wheel_2``) are annotations of one category. ``obj_ann_id`` numbers
    the object within its photo. Objects are left out.

    Args:
        folder: ``Annotations_Part``.
        names_file: one name of a photo per line, as VOC's ``ImageSets/Main/train.txt``; None takes every .mat.

    Raises:
        ImportError: there is no SciPy.
        OSError: a folder or file is not there.
        ValueError: a file is malformed.
    """
    found, hidden = files_of(Path(folder), ('.mat', ))
    names = list(found) if names_file is None else read_names(Path(names_file))
    converter = _Converter()
    for name in names:
        if name not in found:
            raise MissingFileError(f'{names_file} names {name}, but {folder} has no {name}.mat; unpack the whole '
                                   'archive')
        converter.add(found[name])
    lines = converter.lines()
    lines.append(compare(len(found), KNOWN_PHOTOS, f'.mat files in {folder}')
                 + (f'; {hidden:,} hidden ones passed over' if hidden else ''))
    return converter.document.document(), lines


def read_names(path: Path) -> list[str]:
    """Return the names in a list of VOC.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line has more than a name, or the name of another.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} is no file; name one of VOC's ImageSets/Main, e.g. train.txt")
    names: dict[str, None] = {}
    for number, line in enumerate(path.read_text(encoding='utf-8').split('\n'), start=1):
        words = line.split()
        if len(words) > 1 or (words and words[0] in names):
            raise InputError(f'{path}, line {number}: {line!r} is not one more name of a photo; use train.txt, val.txt '
                             'or trainval.txt, not the list of a class')
        names.update(dict.fromkeys(words))
    if not names:
        raise InputError(f"{path} names no photo; use one of VOC's ImageSets/Main, e.g. train.txt")
    return list(names)


class _Converter:
    """Takes one .mat after the other."""

    def __init__(self) -> None:
        self.document = MaskDocument(SOURCE, category_records(category_names()))
        self.category_ids = {each['name']: each['id'] for each in self.document.categories}
        self.counts: Counter[str] = Counter()

    def add(self, path: Path) -> None:
        """Add the parts of a photo."""
        anno = read_mat(path)
        name = field(anno, 'imname', str, str(path))
        if name != path.stem:
            raise InputError(f"{path}: it is of the photo {name!r}; {REMEDY}")
        objects = records_of(anno.get('objects', ()))
        self.counts['photos'] += 1
        if not objects:
            self.counts['empty photos'] += 1
            return
        size = self.mask_of(objects[0], f'{path}: object 1', None).shape
        self.document.add_photo(name, f'{name}.jpg', *size)
        for number, record in enumerate(objects, start=1):
            self.add_object(name, number, record, f'{path}: object {number}', size)

    def add_object(self, photo: str, number: int, record: dict, where: str, size: tuple[int, int]) -> None:
        """Add the parts of one object."""
        owner = field(record, 'class', str, where)
        if owner not in CLASSES:
            raise InputError(f"{where}: its class {owner!r} is none of VOC's; {REMEDY}")
        silhouette = self.mask_of(record, where, size)
        parts = records_of(record.get('parts', ()))
        self.counts['objects'] += 1
        self.counts['objects with parts'] += bool(parts)
        for index, part in enumerate(parts, start=1):
            here = f'{where} ({owner}), part {index}'
            part_name = field(part, 'part_name', str, here)
            key = part_key(part_name)
            if key not in PARTS.get(owner, {}):
                raise InputError(f"{here}: {part_name!r} is no part of PASCAL-Part's {owner}; {REMEDY}")
            mask = self.mask_of(part, here, size)
            self.counts['parts'] += 1
            self.counts['parts beyond'] += bool((mask & ~silhouette).any())
            self.counts['parts written'] += self.document.add(photo, self.category_ids[f'{owner}:{key}'], mask,
                                                              obj_ann_id=number, part_name=part_name)

    @staticmethod
    def mask_of(record: Any, where: str, size: tuple[int, int] | None) -> np.ndarray:
        """Return a record's mask (h, w), bool; refuse one of another size."""
        mask = field(record, 'mask', np.ndarray, where)
        if mask.ndim != 2 or mask.dtype.kind not in 'biu' or (size is not None and mask.shape != size):
            raise InputError(f"{where}: its mask is {mask.shape} of {mask.dtype}, not {size or '(height, width)'} of 0 "
                             f'and 1; {REMEDY}')
        return mask != 0

    def lines(self) -> list[str]:
        """Return what became of everything."""
        counts, document = self.counts, self.document
        shown = {each['image_id'] for each in document.annotations}
        used = {each['category_id'] for each in document.annotations}
        return [
            account('photos', counts['photos'], len(document.images), {'without an object': counts['empty photos']})
            + f'; {len(shown):,} of them with parts',
            f"objects: {counts['objects']:,} read, {counts['objects with parts']:,} of them with parts; only the parts "
            'are written',
            account('parts', counts['parts'], counts['parts written'],
                    {'with an empty mask': counts['parts'] - counts['parts written']})
            + f"; {counts['parts beyond']:,} reach beyond their object",
            f'{len(document.categories):,} categories of parts, {len(used):,} of them in these photos']
