"""MMR: questions whose targets are parts, objects, or several of them, with the masks of PACO-LVIS.

Paper: Jang et al., MMR: A Large-scale Benchmark Dataset for Multi-target and Multi-granularity Reasoning Segmentation
(ICLR 2025). Format: jdg900/MMR, ``README.md`` and ``utils/dataset.py``: a json is a list of images with ``questions``
and, for each question, a list of targets in ``answers``, which have a ``category_name`` ('cup' or 'cup:handle') and a
``segmentation``.
"""
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

from pycocotools import mask as coco_mask

from mmpartref.argument_checks import check_choice, check_path
from mmpartref.datasets.coco.record_faults import is_id
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.mask_document import annotation_rle
from mmpartref.datasets.converters.published.paco import object_words
from mmpartref.datasets.converters.standard_json import (
    AS_PUBLISHED,
    Document,
    check_list,
    compare_count,
    count_line,
    field,
)
from mmpartref.errors import InputError
from mmpartref.files.json_files import load_json
from mmpartref.text import has_words, shown, shown_name

Targets = Literal['all', 'part']
SOURCE = 'MMR'
# Of the two files for which the README has a number; it has 32,077 for the three test files together.
PUBLISHED_QUESTIONS = {'MMR_train': 154127, 'MMR_val': 8194}
# Between the object and the part in the name of a category.
COLON = ':'
# Reasons for which questions and targets are dropped.
BLANK, NO_TARGET, EMPTY, OF_OBJECTS = 'blank', 'without a target', 'with empty masks only', 'with an object as target'
EMPTY_MASK, TWICE = 'with an empty mask', 'twice in a question'
ANOTHER_COPY = 'download it again'


def convert_mmr(ann_file: str | Path, targets: Targets = 'all') -> tuple[dict, list[str]]:
    """Return the json of the questions by name, and lines with counts.

    A target becomes an annotation, one for all questions of its image that have the same mask and category. A question
    becomes a record of ``referring`` with an annotation or several. Its ``source`` is 'MMR one part', 'MMR several
    parts', 'MMR one object', 'MMR several objects' or 'MMR objects and parts'; its ``id`` has the places of the record
    and of the question. Targets with an empty mask, and questions that are blank or have no target, are dropped.

    Args:
        ann_file: ``MMR_val.json`` and the like.
        targets: ``'part'`` drops questions that have an object among their targets.
    """
    check_choice(targets, 'targets', get_args(Targets))
    path = check_path(ann_file, 'ann_file')
    questions = _Questions(targets == 'part')
    for index, record in enumerate(check_list(load_json(path, hint=ANOTHER_COPY), path, 'images')):
        questions.add(index, record, f'{shown_name(path)}: record {index}')
    name = Path(path).stem
    lines = questions.lines()
    if name in PUBLISHED_QUESTIONS:
        lines.insert(0, compare_count(questions.read, PUBLISHED_QUESTIONS[name], 'questions'))
    return {name if targets == 'all' else f'{name}_parts': questions.to_json()}, lines


class _Questions:
    """Collects questions, their images and the distinct masks of their targets.

    Args:
        parts_only: drop questions that have an object among their targets.
    """

    def __init__(self, parts_only: bool) -> None:
        self.parts_only = parts_only
        self.images: dict[int | str, dict] = {}
        self.annotations: dict[tuple[int | str, str, bytes], int] = {}  # id by image, category and counts
        self.referring: list[dict] = []
        self.read = self.targets = 0
        self.dropped = Counter({BLANK: 0, NO_TARGET: 0, EMPTY: 0, OF_OBJECTS: 0})
        self.dropped_targets = Counter({EMPTY_MASK: 0, TWICE: 0})

    def add(self, index: int, record: Any, where: str) -> None:
        """Add the questions of a record, which is at a place in the list; raises an InputError if it is malformed."""
        image: dict[str, Any] = {'file_name': field(record, 'file_name', str, where)}
        image.update({side: field(record, side, int, where) for side in ('height', 'width')})
        image_id = record.get('image_id')
        if not is_id(image_id):
            raise InputError(f"{where}: 'image_id' is {shown(image_id)}, not a number or name; {AS_PUBLISHED}")
        image['id'] = image_id
        if self.images.setdefault(image_id, image) != image:
            raise InputError(f'{where} has the image_id {shown(image_id)} of another image; {ANOTHER_COPY}')
        questions, answers = (field(record, key, list, where) for key in ('questions', 'answers'))
        if len(questions) != len(answers):
            raise InputError(f'{where} has {len(questions):,} questions, but {len(answers):,} answers; {ANOTHER_COPY}')
        for number, (question, targets) in enumerate(zip(questions, answers, strict=True)):
            place = f'{where}, answers[{number}]'
            if not isinstance(question, str) or not isinstance(targets, list):
                raise InputError(f'{place} is not a list with a question that is a text; {AS_PUBLISHED}')
            found = [_read_target(target, image, f'{place}[{each}]') for each, target in enumerate(targets)]
            self._add_question(f'{index}:{number}', image_id, question, found)

    def _add_question(self, ref_id: str, image_id: int | str, question: str,
                      targets: list[tuple[str, dict | None]]) -> None:
        """Add a question, or count why it is dropped."""
        self.read += 1
        used = [(name, rle) for name, rle in targets if rle is not None]
        objects = [name for name, _ in targets if COLON not in name]
        reason = (BLANK if not has_words(question) else NO_TARGET if not targets else EMPTY if not used
                  else OF_OBJECTS if objects and self.parts_only else None)
        if reason:
            self.dropped[reason] += 1
            return
        ann_ids = list(dict.fromkeys(
            self.annotations.setdefault((image_id, name, rle['counts']), len(self.annotations) + 1)
            for name, rle in used))
        self.targets += len(targets)
        self.dropped_targets[EMPTY_MASK] += len(targets) - len(used)
        self.dropped_targets[TWICE] += len(used) - len(ann_ids)
        self.referring.append({'id': ref_id, 'image_id': image_id, 'ann_ids': ann_ids, 'expressions': [question],
                               'source': f'{SOURCE} {kind_of([name for name, _ in used], len(ann_ids))}'})

    def to_json(self) -> Document:
        """Return the json, with categories that are numbered in the order of their names."""
        categories = category_records({name for _, name, _ in self.annotations})
        ids = {category['name']: category['id'] for category in categories}
        sizes = {key: [image['height'], image['width']] for key, image in self.images.items()}
        used = dict.fromkeys(record['image_id'] for record in self.referring)
        return {'info': {'source': SOURCE}, 'images': [self.images[key] for key in used],
                'annotations': [{'id': ann_id, 'image_id': image_id, 'category_id': ids[name],
                                 'segmentation': {'size': sizes[image_id], 'counts': counts.decode('ascii')}}
                                for (image_id, name, counts), ann_id in self.annotations.items()],
                'categories': categories, 'referring': self.referring}

    def lines(self) -> list[str]:
        """Return lines that count images, questions and targets."""
        kinds = Counter(record['source'].removeprefix(f'{SOURCE} ') for record in self.referring)
        written = sum(len(record['ann_ids']) for record in self.referring)
        return [
            f"{len(self.images):,} images, {len({record['image_id'] for record in self.referring}):,} of them with "
            'questions that are written',
            count_line('questions', self.read, len(self.referring), self.dropped),
            'questions by their targets: ' + ', '.join(f'{number:,} {kind}' for kind, number in sorted(kinds.items())),
            count_line('targets of these', self.targets, written, self.dropped_targets)
            + f'; {len(self.annotations):,} distinct masks']


def _read_target(record: Any, image: dict, where: str) -> tuple[str, dict | None]:
    """Return a target's category and compressed RLE, which is None if its mask is empty.

    Raises:
        InputError: it is malformed.
    """
    name = field(record, 'category_name', str, where)
    owner, colon, part = name.partition(COLON)
    if not has_words(plain(owner)) or bool(colon) != has_words(plain(part)):
        raise InputError(f"{where}: 'category_name' is {shown(name)}, not like 'cup' or 'cup:handle'; {AS_PUBLISHED}")
    rle = annotation_rle(record, (image['height'], image['width']), where)
    return name, rle if rle is not None and coco_mask.area(rle) else None


def kind_of(names: list[str], number: int) -> str:
    """Return the kind of a question, e.g. 'one part', given its targets' categories and their distinct number."""
    levels = {'part' if COLON in name else 'object' for name in names}
    if len(levels) == 2:
        return 'objects and parts'
    level, = levels
    return f'one {level}' if number == 1 else f'several {level}s'


def category_records(names: set[str]) -> list[dict]:
    """Return the categories of names like 'cup' (an object) and 'cup:handle', in order and numbered from 0."""
    words = object_words(sorted({name.partition(COLON)[0] for name in names}))
    records: list[dict] = []
    for number, name in enumerate(sorted(names)):
        owner, colon, part = name.partition(COLON)
        records.append({'id': number, 'name': name, 'supercategory': words[owner], 'part': plain(part)} if colon else
                       {'id': number, 'name': name, 'supercategory': '', 'part': words[owner], 'level': 'object'})
    return records
