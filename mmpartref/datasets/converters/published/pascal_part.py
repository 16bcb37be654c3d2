"""PASCAL-Part as published: one .mat per image of VOC 2010 in ``Annotations_Part``.

Paper: Chen et al., Detect What You Can: Detecting and Representing Objects using Holistic Models and Body Parts (CVPR
2014). Format: ``part2ind.m`` and ``mat2map.m`` of its archive.
"""
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mmpartref.datasets.converters.mask_document import MaskDocument, category_records, files_by_stem
from mmpartref.datasets.converters.published.pascal_part_names import CLASSES, PARTS, category_names, part_key
from mmpartref.datasets.converters.standard_json import AS_PUBLISHED, compare_count, count_line, distinct, field
from mmpartref.errors import InputError, MissingFileError, MissingPackageError
from mmpartref.files.plain_file import read_text

SOURCE = 'PASCAL-Part'
# Of trainval; no other was published.
PUBLISHED_IMAGES = 10103


def read_mat(path: Path) -> dict[str, Any]:
    """Return the struct ``anno`` of a .mat as dicts and arrays."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingPackageError(f'PASCAL-Part is read with SciPy, which cannot be imported ({error}); pip install '
                                  'scipy, or this package with its extra pascal') from None
    try:
        content = loadmat(path, simplify_cells=True)
    except Exception as error:  # a damaged file raises errors of many types
        raise InputError(f'{path} is not a complete .mat ({error or type(error).__name__}); unpack it again') from None
    return field(content, 'anno', dict, str(path))


def struct_list(value: Any) -> list[Any]:
    """Return the elements of a struct array: SciPy returns none, one and several in different forms."""
    return [value] if isinstance(value, dict) else list(np.atleast_1d(value))


def convert_pascal_part(folder: str | Path, names_file: str | Path | None = None) -> tuple[dict, list[str]]:
    """Return the json of the parts, and lines that count what was written and dropped.

    A category's name is the class and the abbreviation, ``'horse:lfuleg'``, and its words are "horse" and "left front
    upper leg"; numbered parts (``wheel_1``, ``wheel_2``) are annotations of one category. ``object_id`` numbers
    the object within its image. Objects are dropped.

    Args:
        folder: ``Annotations_Part``.
        names_file: one image name per line, as VOC's ``ImageSets/Main/train.txt``; None: every .mat.

    Raises:
        MissingPackageError: SciPy is not installed.
    """
    found, hidden = files_by_stem(Path(folder), '.mat')
    converter = _Converter()
    for name in list(found) if names_file is None else read_names(Path(names_file)):
        if name not in found:
            raise MissingFileError(f'{names_file} names {name}, but {folder} has no {name}.mat; unpack the whole '
                                   'archive')
        converter.add_image(found[name])
    files = compare_count(len(found), PUBLISHED_IMAGES, f'.mat files in {folder}')
    lines = [*converter.lines(), files + (f'; {hidden:,} hidden files ignored' if hidden else '')]
    return converter.document.to_json(), lines


def read_names(path: Path) -> list[str]:
    """Return the names in one of VOC's lists of images, which has one on each line."""
    names: dict[str, None] = {}
    for number, line in enumerate(read_text(path).split('\n'), start=1):
        words = line.split()
        if len(words) > 1 or (words and words[0] in names):
            raise InputError(f'{path}, line {number}: {line!r} is not the name of another image; use train.txt, '
                             'val.txt or trainval.txt, not the list of a class')
        names.update(dict.fromkeys(words))
    if not names:
        raise InputError(f"{path} has no image name; use one of VOC's ImageSets/Main, e.g. train.txt")
    return list(names)


class _Converter:
    """Converts one .mat after the other."""

    def __init__(self) -> None:
        self.document = MaskDocument(SOURCE, category_records(category_names()))
        self.category_ids = {each['name']: each['id'] for each in self.document.categories}
        self.counts: Counter[str] = Counter()

    def add_image(self, path: Path) -> None:
        """Add the image of a .mat and its parts."""
        anno = read_mat(path)
        name = field(anno, 'imname', str, str(path))
        if name != path.stem:
            raise InputError(f"{path}: it is of the image {name!r}; {AS_PUBLISHED}")
        objects = struct_list(anno.get('objects', ()))
        self.counts['images'] += 1
        if not objects:
            self.counts['empty images'] += 1
            return
        size = self.mask_of(objects[0], f'{path}: object 1', None).shape
        self.document.add_image(name, f'{name}.jpg', *size)
        for number, record in enumerate(objects, start=1):
            self.add_object(name, number, record, f'{path}: object {number}', size)

    def add_object(self, image: str, number: int, record: dict, where: str, size: tuple[int, int]) -> None:
        """Add the parts of an object."""
        owner = field(record, 'class', str, where)
        if owner not in CLASSES:
            raise InputError(f"{where}: its class {owner!r} is not one of VOC's; {AS_PUBLISHED}")
        silhouette = self.mask_of(record, where, size)
        parts = struct_list(record.get('parts', ()))
        self.counts['objects'] += 1
        self.counts['objects with parts'] += bool(parts)
        for index, part in enumerate(parts, start=1):
            here = f'{where} ({owner}), part {index}'
            part_name = field(part, 'part_name', str, here)
            key = part_key(part_name)
            if key not in PARTS.get(owner, {}):
                raise InputError(f"{here}: {part_name!r} is not a part of PASCAL-Part's {owner}; {AS_PUBLISHED}")
            mask = self.mask_of(part, here, size)
            self.counts['parts'] += 1
            self.counts['parts outside'] += bool((mask & ~silhouette).any())
            self.counts['parts written'] += self.document.add_mask(image, self.category_ids[f'{owner}:{key}'], mask,
                                                                   object_id=number, part_name=part_name)

    @staticmethod
    def mask_of(record: Any, where: str, size: tuple[int, int] | None) -> np.ndarray:
        """Return a record's mask (h, w), bool; raises an ``InputError`` for a mask of another size."""
        mask = field(record, 'mask', np.ndarray, where)
        if mask.ndim != 2 or mask.dtype.kind not in 'biu' or (size is not None and mask.shape != size):
            raise InputError(f"{where}: its mask is {mask.shape} of {mask.dtype}, not {size or '(height, width)'} of 0 "
                             f'and 1; {AS_PUBLISHED}')
        return mask != 0

    def lines(self) -> list[str]:
        """Return the counts of images, objects, parts and categories."""
        counts, document = self.counts, self.document
        return [
            count_line('images', counts['images'], len(document.images), {'without an object': counts['empty images']})
            + f"; {distinct(document.annotations, 'image_id'):,} of them with parts",
            f"objects: {counts['objects']:,} read, {counts['objects with parts']:,} of them with parts; only the parts "
            'are written',
            count_line('parts', counts['parts'], counts['parts written'],
                       {'with an empty mask': counts['parts'] - counts['parts written']})
            + f"; {counts['parts outside']:,} extend outside their object",
            f"{len(document.categories):,} categories of parts, {distinct(document.annotations, 'category_id'):,} of "
            'them in these images']
