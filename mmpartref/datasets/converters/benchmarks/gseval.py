"""GSEval, the evaluation set of GroundingSuite: captions of stuff, parts and objects of COCO's unlabeled2017.

Paper: Hu et al., GroundingSuite: Measuring Complex Multi-Granular Pixel Grounding (ICCV 2025). Format:
hustvl/GroundingSuite, ``GroundingSuite-Eval.jsonl`` and ``evaluate_grounding.py``: a line is a json with ``idx``,
``image_path``, ``class_id``, ``caption`` and ``segmentation``, an RLE. ``box`` is not the mask's box and is not used.
"""
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from pycocotools import mask as coco_mask

from mmpartref.argument_checks import check_choice, check_path
from mmpartref.datasets.coco.record_faults import MAX_SIDE, is_id
from mmpartref.datasets.converters.mask_document import annotation_rle
from mmpartref.datasets.converters.standard_json import AS_PUBLISHED, Document, compare_count, count_line, field
from mmpartref.errors import InputError
from mmpartref.files.json_files import parse_json
from mmpartref.files.plain_file import read_text
from mmpartref.masks.rle import union
from mmpartref.text import has_words, shown, shown_name

Classes = Literal['part', 'all']
SOURCE = 'GSEval'
# By ``class_id``: name, lines of the released file, and the number in the paper. No public text names the ids: the
# names are inferred from the captions, the order in the paper and the numbers. Those of the file follow from the
# ``idx`` at which its classes begin.
CLASSES = {1: ('stuff', 1011, 1000), 2: ('part', 455, 500), 3: ('multi-object', 771, 800),
           4: ('single-object', 1478, 1500)}
PART = 2
BLANK, EMPTY = 'with a blank caption', 'with an empty mask'
ANOTHER_COPY = 'download it again'


def convert_gseval(path: str | Path, classes: Classes = 'part') -> tuple[dict, list[str]]:
    """Return the json of the lines by name, and lines with counts.

    A line becomes an annotation with its ``idx`` and ``label``, and a record of ``referring`` whose ``id`` is ``idx``
    and whose ``source`` has the name of its class. Lines with an empty mask or a blank caption are dropped.

    Args:
        path: ``GroundingSuite-Eval.jsonl``.
        classes: ``'part'``: lines of the class 2 only.
    """
    check_choice(classes, 'classes', get_args(Classes))
    path = check_path(path, 'path')
    found = _Lines()
    others: Counter[int] = Counter()
    for record, where in read_lines(path):
        class_id = field(record, 'class_id', int, where)
        if class_id not in CLASSES:
            raise InputError(f"{where}: 'class_id' is {class_id}, not one of {', '.join(map(str, CLASSES))}; "
                             f'{AS_PUBLISHED}')
        if classes == 'all' or class_id == PART:
            found.add(record, class_id, where)
        else:
            others[class_id] += 1
    if not found.seen and not others:
        raise InputError(f'{shown_name(path)} has no line; {ANOTHER_COPY}')
    lines = [f'{sum(others.values()):,} lines of other classes skipped'] if classes == 'part' else []
    return {f'gseval_{classes}': found.to_json()}, [*found.lines(), *lines]


def read_lines(path: str) -> Iterator[tuple[Any, str]]:
    """Yield the content of each line that is not blank, and the name of the line for messages.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not text in UTF-8, or a line is not a json.
    """
    name, number = shown_name(path), 0
    # Not splitlines, which splits at characters that a json may contain.
    for number, line in enumerate(read_text(path, name).split('\n'), start=1):
        if line.strip():
            where = f'{name}, line {number}'
            yield parse_json(line, where, hint=ANOTHER_COPY), where


class _Lines:
    """Collects the lines to convert, with their images and masks."""

    def __init__(self) -> None:
        self.images: dict[str, dict] = {}
        self.annotations: list[dict] = []
        self.referring: list[dict] = []
        self.seen: set[str] = set()
        self.dropped = {class_id: Counter({BLANK: 0, EMPTY: 0}) for class_id in CLASSES}

    def add(self, record: dict, class_id: int, where: str) -> None:
        """Add a line, or count why it is dropped; raises an InputError where it is malformed."""
        idx, image, caption = record.get('idx'), *(field(record, key, str, where) for key in ('image_path', 'caption'))
        if not is_id(idx):
            raise InputError(f"{where}: 'idx' is {shown(idx)}, not a number or name; {AS_PUBLISHED}")
        if str(idx) in self.seen:
            raise InputError(f"{where} has the idx {shown(idx)} of another; {ANOTHER_COPY}")
        self.seen.add(str(idx))
        rle = read_mask(record, where)
        height, width = rle['size']
        size = {'id': image, 'file_name': image, 'height': height, 'width': width}
        if self.images.setdefault(image, size) != size:
            raise InputError(f'{where}: its mask is {height} x {width} (height, width), but another of '
                             f"{shown_name(image)} is {self.images[image]['height']} x {self.images[image]['width']}; "
                             f'{ANOTHER_COPY}')
        if not has_words(caption) or not coco_mask.area(rle):
            self.dropped[class_id][BLANK if not has_words(caption) else EMPTY] += 1
            return
        ann_id = len(self.annotations) + 1
        keys = {'idx': idx, **({'label': record['label']} if 'label' in record else {})}
        self.annotations.append({'id': ann_id, 'image_id': image, 'category_id': class_id, 'segmentation': {
            'size': [height, width], 'counts': rle['counts'].decode('ascii')}, **keys})
        self.referring.append({'id': idx, 'image_id': image, 'ann_ids': [ann_id], 'expressions': [caption],
                               'source': f'{SOURCE} {CLASSES[class_id][0]}'})

    def to_json(self) -> Document:
        """Return the json, with a category for each class."""
        used = dict.fromkeys(record['image_id'] for record in self.referring)
        classes = sorted({record['category_id'] for record in self.annotations})
        return {'info': {'source': SOURCE}, 'images': [self.images[key] for key in used],
                'annotations': self.annotations, 'categories': [
                    {'id': key, 'name': CLASSES[key][0], 'supercategory': '',
                     'level': 'part' if key == PART else 'object'} for key in classes],
                'referring': self.referring}

    def lines(self) -> list[str]:
        """Return a line for each class that was read."""
        written = Counter(record['category_id'] for record in self.annotations)
        lines = []
        for key, (name, published, paper) in CLASSES.items():
            read = written[key] + sum(self.dropped[key].values())
            if read:
                lines.append(f"{count_line(f'class {key} ({name})', read, written[key], self.dropped[key])}; "
                             f"{compare_count(read, published, 'lines')}; {paper:,} in the paper")
        return lines


def read_mask(record: dict, where: str) -> dict:
    """Return the mask of a line as a compressed RLE; of several RLEs the union. Raises an InputError if malformed."""
    segmentation = field(record, 'segmentation', object, where)
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    rles: list[dict] = []
    for part in parts:
        size = field(part, 'size', list, f"{where}: 'segmentation'")
        if len(size) != 2 or any(type(side) is not int or not 0 < side <= MAX_SIDE for side in size):
            raise InputError(f"{where}: the size of its RLE is {shown(size)}, not a height and a width in pixels; "
                             f'{AS_PUBLISHED}')
        expected = rles[0]['size'] if rles else size
        rle = annotation_rle({'segmentation': part}, (expected[0], expected[1]), where)
        assert rle is not None  # polygons, which can be empty, have no size
        rles.append(rle)
    if not rles:
        raise InputError(f"{where}: 'segmentation' is an empty list; {AS_PUBLISHED}")
    return union(rles, rles[0]['size'])
