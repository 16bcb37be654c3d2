"""InstructPart: instructions for tasks, and names, that refer to a part of an object.

Paper: Wan et al., InstructPart: Task-Oriented Part Segmentation with Instruction Reasoning (ACL 2025). Format:
zifuwan/InstructPart, ``README.md``: a folder has ``data_<split>.json``, ``images`` and ``masks``. The json is a list of
entries with an ``image_path`` and a ``part_list``, whose items have an ``object``, a ``part`` and an ``instruction``,
six texts. The files of an item are ``<stem of image_path>-<object>-<part>``, with '_' for blanks in the two names.
"""
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpartref.argument_checks import check_path, check_sequence
from mmpartref.datasets.coco.records import plain
from mmpartref.datasets.converters.mask_document import (
    MaskDocument,
    category_records,
    file_in,
    files_by_stem,
    image_size,
    read_grey,
)
from mmpartref.datasets.converters.standard_json import AS_PUBLISHED, check_list, compare_count, count_line, field
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.json_files import load_json
from mmpartref.text import has_words, shown_name

SOURCE = 'InstructPart'
# The wordings by id, as the README lists them, and the kind of each: a task, or the name of the part.
WORDINGS = ('task, by people', 'task, by GPT-4', 'question for the part', 'question for the part and its affordance',
            'part', 'part and its affordance')
KINDS = {'task': (0, 1), 'object': (2, 3, 4, 5)}
DEFAULT_WORDINGS = (0, 1, 4)
# Number of parts, by the name of the folder or split.
PUBLISHED_PARTS = {'test': 600, 'train': 1800, 'train200': 200, 'train600': 600, 'train1200': 1200, 'train1800': 1800,
                   'all': 2400}
PUBLISHED_OBJECTS, PUBLISHED_PART_NAMES = 48, 44
DATA = 'data_'


@dataclass(frozen=True)
class _Item:
    """A part of an image.

    Attributes:
        where: file and record, for messages.
        stem: of the names of its files.
        category: object and part in words.
        texts: its wordings.
        keys: of its annotation.
    """
    where: str
    stem: str
    category: tuple[str, str]
    texts: list[str]
    keys: dict[str, Any]


def convert_instructpart(folder: str | Path, wordings: Sequence[int] = DEFAULT_WORDINGS) -> tuple[dict, list[str]]:
    """Return a json of the task-referring wordings and one of the object-referring ones, and lines with counts.

    An item becomes an annotation, and a record of ``referring`` for each wording, whose ``id`` ends in the wording's id
    and whose ``source`` has it too. Every pixel of a mask that is not 0 is in it. Items with an empty mask, or with the
    same files as a later item, are dropped.

    Args:
        folder: with ``data_<split>.json``, ``images`` and ``masks``.
        wordings: ids to convert, of 0 to 5; 0 and 1 are task-referring, 2 to 5 object-referring.
    """
    chosen = check_wordings(wordings)
    folder = Path(check_path(folder, 'folder'))
    path = data_file(folder)
    split = folder.name if folder.name in PUBLISHED_PARTS else path.stem.removeprefix(DATA)
    read = list(read_items(path))
    # The official reader uses the last of several items with the same files.
    items = {item.stem: item for item in read}
    images, hidden = files_by_stem(folder / 'images', '.jpg')
    document, notes = _convert_items(items, folder, images)
    written = {each['image_id']: each['id'] for each in document.annotations}
    referring, lines = _expressions(items, written, chosen)
    dropped = {'with the files of a later part': len(read) - len(items),
               'with an empty mask': len(items) - len(written)}
    published = compare_count(len(read), PUBLISHED_PARTS[split], 'parts') + '; ' if split in PUBLISHED_PARTS else ''
    return {f'instructpart_{split}_{kind}': document.to_json(referring=records)
            for kind, records in referring.items() if records}, [
        f"{published}{count_line('parts', len(read), len(written), dropped)}", *lines,
        f'{len(images.keys() - items.keys()):,} images without a part, {hidden:,} hidden files ignored', *notes]


def check_wordings(wordings: Sequence[int]) -> list[int]:
    """Return the ids of wordings, sorted and without repetitions; raises an InputError for another number, or none."""
    ids = check_sequence(wordings, 'wordings', 'ids of wordings', int)
    if not ids or not all(0 <= each < len(WORDINGS) for each in ids):
        raise InputError(f'wordings={ids} should be some of 0 to {len(WORDINGS) - 1}')
    return sorted(set(ids))


def data_file(folder: Path) -> Path:
    """Return the folder's ``data_<split>.json``.

    Raises:
        MissingFileError: there is none.
        InputError: there are several.
    """
    found = [path for stem, path in files_by_stem(folder, '.json')[0].items() if stem.startswith(DATA)]
    if not found:
        raise MissingFileError(f'{shown_name(str(folder))} has no {DATA}test.json or the like; name the folder with '
                               'that file, images and masks')
    if len(found) > 1:
        raise InputError(f'{shown_name(str(folder))} has {shown_name(found[0].name)} and {shown_name(found[1].name)}; '
                         'remove all but one')
    return found[0]


def read_items(path: Path) -> Iterator[_Item]:
    """Yield the items of all entries of a json, in its order; raises an InputError where one is malformed."""
    for index, entry in enumerate(check_list(load_json(path, hint='unpack it again'), path, 'entries')):
        where = f'{shown_name(str(path))}: entry {index}'
        stem = os.path.splitext(field(entry, 'image_path', str, where))[0]
        for number, item in enumerate(field(entry, 'part_list', list, where)):
            place = f'{where}, part_list[{number}]'
            names = [field(item, key, str, place) for key in ('object', 'part')]
            owner, part = map(plain, names)
            if not (has_words(owner) and has_words(part)):
                raise InputError(f"{place}: 'object' or 'part' is blank; {AS_PUBLISHED}")
            texts = field(item, 'instruction', list, place)
            if not all(isinstance(text, str) for text in texts):
                raise InputError(f"{place}: 'instruction' has a value that is not a text; {AS_PUBLISHED}")
            yield _Item(place, '-'.join([stem, *(name.replace(' ', '_') for name in names)]), (owner, part), texts,
                        {key: item[key] for key in ('affordance', 'action') if key in item})


def _convert_items(items: dict[str, _Item], folder: Path, images: dict[str, Path]) -> tuple[MaskDocument, list[str]]:
    """Return the document, and lines on its categories and masks."""
    names = sorted({item.category for item in items.values()})
    document = MaskDocument(SOURCE, category_records((' '.join(name), *name) for name in names))
    counts: Counter[str] = Counter()
    for stem, item in items.items():
        values = read_grey(file_in(folder / 'masks', stem, '.png', item.where), indices=True)
        if stem not in images:
            raise MissingFileError(f"{item.where}: {shown_name(str(folder / 'images' / stem))}.jpg does not exist; "
                                   'unpack the whole archive')
        mask = values != 0
        height, width = mask.shape
        counts['grey'] += values.dtype != bool and bool((values[mask] != 255).any())
        # The size in the header of a JPEG is without the rotation by its EXIF orientation.
        counts['sizes'] += sorted(image_size(images[stem])) != sorted((height, width))
        if document.add_mask(stem, names.index(item.category), mask, **item.keys):
            document.add_image(stem, images[stem].name, height, width)
    lines = [f'{len({owner for owner, _ in names})} objects, {len({part for _, part in names})} names of parts; '
             f'{PUBLISHED_OBJECTS} and {PUBLISHED_PART_NAMES} are published for all splits together']
    if counts['grey']:
        lines.append(f"{counts['grey']:,} masks have values other than 0 and 255; all but 0 are part of the mask")
    if counts['sizes']:
        lines.append(f"{counts['sizes']:,} masks are of another size than their image, which ends a run that reads it")
    return document, lines


def _expressions(items: dict[str, _Item], written: dict[str, int],
                 wordings: list[int]) -> tuple[dict[str, list[dict]], list[str]]:
    """Return the records of ``referring`` of each kind, and a line for each wording.

    Args:
        items: by the stem of their files.
        written: the id of each annotation, by stem.
        wordings: ids to convert.
    """
    referring: dict[str, list[dict]] = {kind: [] for kind in KINDS}
    lines = []
    for wording in wordings:
        kind = next(kind for kind, ids in KINDS.items() if wording in ids)
        records = [{'id': f'{stem}:{wording}', 'image_id': stem, 'ann_ids': [ann_id],
                    'expressions': items[stem].texts[wording:wording + 1], 'source': f'{SOURCE} wording {wording}'}
                   for stem, ann_id in written.items() if any(map(has_words, items[stem].texts[wording:wording + 1]))]
        referring[kind] += records
        lines.append(count_line(f'wording {wording} ({WORDINGS[wording]})', len(written), len(records),
                                {'missing or blank': len(written) - len(records)}))
    return referring, lines
