"""PASCAL-Part as published: one .mat per image of VOC 2010 in ``Annotations_Part``.

Paper: Chen et al., Detect What You Can: Detecting and Representing Objects using Holistic Models and Body Parts (CVPR
2014). Format: ``part2ind.m`` and ``mat2map.m`` of its archive.
"""
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mmpartref.argument_checks import check_path
from mmpartref.datasets.converters.mask_document import MaskDocument, category_records, files_by_stem
from mmpartref.datasets.converters.published.mat_reader import MatReader
from mmpartref.datasets.converters.published.pascal_part_names import CLASSES, PARTS, category_names, part_key
from mmpartref.datasets.converters.standard_json import AS_PUBLISHED, compare_count, count_line, distinct, field
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.plain_file import read_text
from mmpartref.text import shown, shown_name

SOURCE = 'PASCAL-Part'
# Of trainval; no other was published.
PUBLISHED_IMAGES = 10103


def struct_list(value: Any) -> list[Any]:
    """Return the elements of a struct array: SciPy returns none, one and several in different forms."""
    return [value] if isinstance(value, dict) else list(np.atleast_1d(value))


def convert_pascal_part(folder: str | Path, names_file: str | Path | None = None,
                        on_error: str = 'raise') -> tuple[dict, list[str]]:
    """Return the json of the parts, and lines that count what was written and dropped.

    A category's name is the class and the abbreviation, ``'horse:lfuleg'``, and its words are "horse" and "left front
    upper leg"; numbered parts (``wheel_1``, ``wheel_2``) are annotations of one category. ``object_id`` numbers
    the object within its image. Objects are dropped.

    Args:
        folder: ``Annotations_Part``.
        names_file: one image name per line, as VOC's ``ImageSets/Main/train.txt``; None: every .mat.
        on_error: ``'raise'`` an error at a .mat that is damaged or malformed, or ``'skip'`` it: count it, with a line
            that names it and what is wrong.

    Raises:
        MissingPackageError: SciPy is not installed.
    """
    found, hidden = files_by_stem(Path(check_path(folder, 'folder')), '.mat')
    names = list(found) if names_file is None else read_names(Path(check_path(names_file, 'names_file')))
    folder_name = shown_name(str(folder))
    for name in names:
        if name not in found:
            name = shown_name(name)
            raise MissingFileError(f'{shown_name(str(names_file))} names {name}, but {folder_name} has no {name}.mat; '
                                   'unpack the whole archive')
    with MatReader() as reader:
        converter = _Converter(reader)
        for name in names:
            converter.add_file(found[name], skip=on_error == 'skip')
    files = compare_count(len(found), PUBLISHED_IMAGES, f'.mat files in {folder_name}')
    lines = [*converter.lines(), files + (f'; {hidden:,} hidden files ignored' if hidden else ''), *converter.skipped]
    return converter.document.to_json(), lines


def read_names(path: Path) -> list[str]:
    """Return the names in one of VOC's lists of images, one per line; blank lines are ignored.

    Raises:
        InputError: a line has several words, a name occurs twice, or there is none.
    """
    names: dict[str, None] = {}
    for number, line in enumerate(read_text(path).split('\n'), start=1):
        words = line.split()
        if len(words) > 1 or (words and words[0] in names):
            raise InputError(f'{shown_name(str(path))}, line {number}: {shown(line)} is not the name of another '
                             'image; use train.txt, val.txt or trainval.txt, not the list of a class')
        names.update(dict.fromkeys(words))
    if not names:
        raise InputError(f"{shown_name(str(path))} has no image name; use one of VOC's ImageSets/Main, e.g. train.txt")
    return list(names)


class _Converter:
    """Converts one .mat after the other."""

    def __init__(self, reader: MatReader) -> None:
        self.reader = reader
        self.skipped: list[str] = []
        self.document = MaskDocument(SOURCE, category_records(category_names()))
        self.category_ids = {each['name']: each['id'] for each in self.document.categories}
        self.counts: Counter[str] = Counter()

    def add_file(self, path: Path, skip: bool) -> None:
        """Add the image of a .mat and its parts; with ``skip`` nothing of a file that raises an ``InputError``."""
        images, annotations, counts = self.document.images, self.document.annotations, self.counts.copy()
        sizes = len(images), len(annotations)
        try:
            self.add_image(path, shown_name(str(path)))
        except InputError as error:
            if not skip:
                raise
            del images[sizes[0]:], annotations[sizes[1]:]
            self.counts = counts
            self.counts.update(['images', 'skipped images'])
            self.skipped.append(f'skipped: {error}')

    def add_image(self, path: Path, file_name: str) -> None:
        """Add the image of a .mat, which messages call ``file_name``, and its parts."""
        anno = field(self.reader.read(path), 'anno', dict, file_name)
        name = field(anno, 'imname', str, file_name)
        if name != path.stem:
            raise InputError(f'{file_name}: it is of the image {shown(name)}; {AS_PUBLISHED}')
        objects = struct_list(field(anno, 'objects', object, file_name))
        self.counts['images'] += 1
        if not objects:
            self.counts['empty images'] += 1
            return
        size = self.mask_of(objects[0], f'{file_name}: object 1', None).shape
        self.document.add_image(name, f'{name}.jpg', *size)
        for number, record in enumerate(objects, start=1):
            self.add_object(name, number, record, f'{file_name}: object {number}', size)

    def add_object(self, image: str, number: int, record: dict, where: str, size: tuple[int, int]) -> None:
        """Add the parts of an object."""
        owner = field(record, 'class', str, where)
        if owner not in CLASSES:
            raise InputError(f"{where}: its class {shown(owner)} is not one of VOC's; {AS_PUBLISHED}")
        silhouette = self.mask_of(record, where, size)
        parts = struct_list(field(record, 'parts', object, where))
        self.counts['objects'] += 1
        self.counts['objects with parts'] += bool(parts)
        for index, part in enumerate(parts, start=1):
            here = f'{where} ({owner}), part {index}'
            part_name = field(part, 'part_name', str, here)
            key = part_key(part_name)
            if key not in PARTS.get(owner, {}):
                raise InputError(f"{here}: {shown(part_name)} is not a part of PASCAL-Part's {owner}; {AS_PUBLISHED}")
            mask = self.mask_of(part, here, size)
            self.counts['parts'] += 1
            self.counts['parts outside'] += bool((mask & ~silhouette).any())
            self.counts['parts written'] += self.document.add_mask(image, self.category_ids[f'{owner}:{key}'], mask,
                                                                   object_id=number, part_name=part_name)

    @staticmethod
    def mask_of(record: Any, where: str, size: tuple[int, int] | None) -> np.ndarray:
        """Return a record's mask (h, w), bool; raises an ``InputError`` for another size or more than two values."""
        mask = field(record, 'mask', np.ndarray, where)
        if mask.ndim != 2 or mask.dtype.kind not in 'biu' or (size is not None and mask.shape != size):
            raise InputError(f"{where}: its mask is {mask.shape} of {mask.dtype}, not {size or '(height, width)'} of 0 "
                             f'and 1; {AS_PUBLISHED}')
        if ((mask != 0) & (mask != mask.max(initial=0))).any():
            raise InputError(f'{where}: its mask has more values than 0 and {mask.max()}; {AS_PUBLISHED}')
        return mask != 0

    def lines(self) -> list[str]:
        """Return the counts of images, objects, parts and categories."""
        counts, document = self.counts, self.document
        dropped = {'without an object': counts['empty images']}
        if self.skipped:
            dropped['that cannot be read'] = counts['skipped images']
        return [
            count_line('images', counts['images'], len(document.images), dropped)
            + f"; {distinct(document.annotations, 'image_id'):,} of them with parts",
            f"objects: {counts['objects']:,} read, {counts['objects with parts']:,} of them with parts; only the parts "
            'are written',
            count_line('parts', counts['parts'], counts['parts written'],
                       {'with an empty mask': counts['parts'] - counts['parts written']})
            + f"; {counts['parts outside']:,} extend outside their object",
            f"{len(document.categories):,} categories of parts, {distinct(document.annotations, 'category_id'):,} of "
            'them in these images']
