"""Validate a COCO json of parts: the one place that decides which records are used, dropped or rejected.

``read_coco`` raises the first error, the dataset doctor collects all findings, and the converters validate what they
write.
"""
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.coco_document import section_fault
from mmpartref.datasets.coco.dataset_statistics import PartStatistics
from mmpartref.datasets.coco.finding_codes import ERROR
from mmpartref.datasets.coco.findings import Finding
from mmpartref.datasets.coco.record_faults import (
    SINGULAR,
    ids_of,
    is_id,
    record_faults,
    record_name,
    ref_faults,
    ref_name,
)
from mmpartref.datasets.coco.records import Annotation, Category, Image, PartName, Ref, split_category
from mmpartref.masks.rle import rle_from_segmentation
from mmpartref.text import has_words, shown, shown_name, text_fault

# The last word of a project's name: a hash or a version.
PROJECT = re.compile(r'[-_ ](?=[a-z0-9]*\d)[a-z0-9]{2,}$', re.IGNORECASE)


@dataclass
class CocoParts:
    """The usable records of a json.

    Attributes:
        images: all of them, also those without annotations.
        categories: by id.
        names: meaning of each category, by id.
        statistics: how many records were dropped, and why.
        referring: the json's own expressions by image id; None where it has no list ``referring``.
        source: the dataset's name, ``info['source']`` of the json.
        incomplete: ids of images with an annotation that is a crowd or cannot be used.
        records: the annotations as written in the json, by id; empty where the document was consumed.
        ann_file: path of the json, and data_root: folder that paths in a config are relative to.
    """
    images: list[Image] = field(default_factory=list)
    categories: dict[int, Category] = field(default_factory=dict)
    names: dict[int, PartName] = field(default_factory=dict)
    statistics: PartStatistics = field(default_factory=PartStatistics)
    referring: dict[Any, list[Ref]] | None = None
    source: str | None = None
    incomplete: set[int | str] = field(default_factory=set)
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    ann_file: str = ''
    data_root: str = ''


def validate(document: object, name_category: Callable[[Category], PartName] = split_category, level: str = 'part',
             parts: CocoParts | None = None, consume: bool = False) -> Iterator[Finding]:
    """Yield every fault of a json's records; without an error ``PartReferDataset`` loads it.

    Args:
        document: the parsed json.
        name_category: returns the meaning of a category.
        level: level of categories whose record has none.
        parts: filled with the usable records while the findings are iterated over.
        consume: remove each segmentation from the document when it is read, which halves the memory of a large json.
    """
    parts = CocoParts() if parts is None else parts
    errors = 0
    for finding in _validate(document, name_category, level, parts, consume):
        errors += finding.severity == ERROR
        yield finding
    # With other errors it is their consequence.
    if not errors and not _has_refs(parts):
        yield Finding('nothing-left', '', nothing_left(parts))


def _validate(document: object, name_category: Callable[[Category], PartName], level: str, parts: CocoParts,
              consume: bool) -> Iterator[Finding]:
    if fault := section_fault(document):
        yield Finding('unreadable-json', '', fault)
        return
    assert isinstance(document, dict)
    yield from read_categories(document, name_category, level, parts)
    images: dict[int | str, Image] = {}
    yield from _read_images(document, images, parts.statistics)
    image_of: dict[int, int | str] = {}
    yield from _read_annotations(document, images, image_of, parts, consume)
    parts.images[:] = images.values()
    parts.statistics.images_with_parts = sum(bool(image.annotations) for image in parts.images)
    if 'referring' in document:
        yield from _read_referring(document, images, image_of, parts)
    info = document.get('info')
    source = info.get('source') if isinstance(info, dict) else None
    if isinstance(source, str):
        if fault := text_fault(source):
            yield Finding('bad-record', 'info.source', fault)
        parts.source = source


def _has_refs(parts: CocoParts) -> bool:
    """Return whether any expression can be made."""
    if parts.referring is None:
        return parts.statistics.parts_used > 0
    used = {annotation.ann_id for image in parts.images for annotation in image.annotations}
    return any(not ref.ann_ids or not used.isdisjoint(ref.ann_ids) for refs in parts.referring.values() for ref in refs)


def nothing_left(parts: CocoParts) -> str:
    """Return the sentence for a json without any usable expression."""
    what = 'annotated part' if parts.referring is None else 'expression'
    return f'no {what} is left: {parts.statistics.in_short()}; check that this is the right json'


def _usable(document: Mapping[str, Any], section: str, found: dict[Any, dict]) -> Iterator[Finding]:
    """Collect in ``found`` the records of a section by id, of those with the same id the first."""
    places: dict[Any, int] = {}
    for index, record in enumerate(document[section]):
        faulty = False
        for fault in record_faults(record, section):
            faulty = True
            yield Finding('bad-record', record_name(record, section, index), fault)
        if faulty:
            continue
        # Refs are named after the id of their image as text, so that 1 and "1" are the same.
        key = str(record['id'])
        if key in places:
            yield Finding(f'duplicate-{SINGULAR[section]}-id', record_name(record, section, index),
                          f'this id occurs twice in {section}, at places {places[key]} and {index}; give every record '
                          'its own id')
            continue
        places[key] = index
        found[record['id']] = record


def read_categories(document: Mapping[str, Any], name_category: Callable[[Category], PartName], level: str,
                    parts: CocoParts) -> Iterator[Finding]:
    """Fill ``parts.categories`` and ``parts.names``; yields the faults of the categories."""
    records: dict[int, dict] = {}
    yield from _usable(document, 'categories', records)
    project = project_name(records)
    if project:
        sentence = (f"{shown(project)}, the super-category of all categories, looks like a project's name and is not "
                    'used in expressions')
        parts.statistics.notes.append(f'categories   {sentence}')
        yield Finding('project-name', '', sentence)
    owners: dict[PartName, Category] = {}
    for key, record in records.items():
        owner = record.get('supercategory')
        category = Category(key, record['name'], None if owner == project else owner, record.get('part'),
                            record.get('level') or level)
        name = name_category(category)
        if category.level == 'object':
            # An object is its own super-category and not a part.
            name = PartName(name.part or name.super_category, '')
        parts.categories[key], parts.names[key] = category, name
        if not has_words(name.part or (name.super_category if category.level == 'object' else '')):
            yield Finding('bad-record', f'category {key}', f'its name {shown(category.name)} has no word; '
                          'name the part')
            continue
        other = owners.setdefault(name, category)
        if other is not category:
            yield Finding('same-meaning', f'category {key}', f'it ({shown(category.name)}) and category '
                          f'{other.category_id} ({shown(other.name)}) both mean {shown(" ".join(name).strip())}; '
                          'unite them or rename one')


def project_name(records: Mapping[int, Mapping[str, Any]]) -> str | None:
    """Return the super-category of all categories where it is not an object but the name of a project, or None.

    Labelling tools export such names, for example "kettle-parts-ab3d", some with one more category of that name.
    """
    owners = {record.get('supercategory') for record in records.values()}
    names = {record['name'] for record in records.values()}
    used = {record.get('supercategory') for record in records.values() if record['name'] not in owners}
    project = used.pop() if len(used) == 1 and len(names - owners) > 1 else None
    return project if project and PROJECT.search(project) else None


def _read_images(document: Mapping[str, Any], images: dict[int | str, Image],
                 counts: PartStatistics) -> Iterator[Finding]:
    records: dict[int | str, dict] = {}
    yield from _usable(document, 'images', records)
    for key, record in records.items():
        file_name = record['file_name']
        if '\\' in file_name:
            file_name = file_name.replace('\\', '/')
            counts.backslash_file_names += 1
            yield Finding('backslash-in-file-name', f'image {shown(key)}', record['file_name'])
        images[key] = Image(key, file_name, record['height'], record['width'],
                            negatives=tuple(record.get('neg_category_ids', ())))
    counts.images_in_json = len(document['images'])


def _read_annotations(document: Mapping[str, Any], images: dict[int | str, Image], image_of: dict[int, int | str],
                      parts: CocoParts, consume: bool) -> Iterator[Finding]:
    """Fill ``images`` with their annotations, and ``image_of``; yields the faults of the annotations."""
    records: dict[int, dict] = {} if consume else parts.records
    yield from _usable(document, 'annotations', records)
    read = {id(record) for record in records.values()}
    parts.incomplete.update(record['image_id'] for record in document['annotations']
                            if isinstance(record, dict) and id(record) not in read and is_id(record.get('image_id')))
    known = {'image_id': ids_of(document['images']), 'category_id': ids_of(document['categories'])}
    by_text = {key: {str(each): each for each in ids} for key, ids in known.items()}
    of_image: dict[int | str, list[Annotation]] = {}
    dropped: dict[int | str, set[int]] = {}
    for ann_id, record in records.items():
        image_id, category_id = record['image_id'], record['category_id']
        for key, ids in known.items():
            if record[key] not in ids:
                section = {'image_id': 'images', 'category_id': 'categories'}[key]
                other = by_text[key].get(str(record[key]))
                hint = '' if other is None else f'{shown(other)} is, so write ids of the same type, or '
                yield Finding(f'dangling-{key.replace("_", "-")}', f'annotation {ann_id}',
                              f'its {key} {shown(record[key])} is not among the {section}; {hint}add that record to '
                              f'{section} or drop the annotation')
        image_of[ann_id] = image_id
        if image_id not in images or category_id not in parts.names:
            parts.incomplete.add(image_id)
            continue
        annotation = yield from _read_annotation(record, images[image_id], parts)
        if consume:
            record.pop('segmentation', None)
        if annotation is not None:
            of_image.setdefault(image_id, []).append(annotation)
        else:
            dropped.setdefault(image_id, set()).add(category_id)
    for img_id in of_image.keys() | dropped.keys():
        images[img_id] = replace(images[img_id], annotations=tuple(of_image.get(img_id, ())),
                                 dropped=frozenset(dropped.get(img_id, ())))
    parts.statistics.annotations_in_json = len(document['annotations'])


def _read_annotation(record: Mapping[str, Any], image: Image,
                     parts: CocoParts) -> Generator[Finding, None, Annotation | None]:
    """Yield the faults of an annotation's mask; returns the ``Annotation``, or None where it is dropped."""
    counts, name = parts.statistics, f"annotation {record['id']}"
    if record.get('iscrowd'):
        counts.crowd_dropped += 1
        parts.incomplete.add(image.img_id)
        yield Finding('crowd-annotation', name)
        return None
    try:
        rle, short_rings = rle_from_segmentation(record['segmentation'], image.height, image.width)
    except ValueError as error:
        parts.incomplete.add(image.img_id)
        yield Finding('bad-segmentation', name, f'in image {shown_name(image.file_name)}: {error}')
        return None
    if short_rings:
        counts.short_rings_dropped += short_rings
        yield Finding('short-ring', name, f'{short_rings} of its polygon rings have fewer than 3 points')
    if rle is None:
        counts.no_ring_dropped += 1
        yield Finding('no-ring', name)
        return None
    if not coco_mask.area(rle):
        counts.empty_mask_dropped += 1
        yield Finding('empty-mask', name)
        return None
    counts.parts_used += 1
    return Annotation(record['id'], record['category_id'], rle, record.get('object_id'))


def _read_referring(document: Mapping[str, Any], images: Mapping[int | str, Image],
                    image_of: Mapping[int, int | str], parts: CocoParts) -> Iterator[Finding]:
    parts.referring = {}
    if not isinstance(document['referring'], list):
        yield Finding('bad-referring', "'referring'", f"it is a {type(document['referring']).__name__}; write a list "
                      'of records')
        return
    seen: set[str] = set()
    for index, record in enumerate(document['referring']):
        faulty = False
        for fault in ref_faults(record, images, image_of):
            faulty = True
            yield Finding('bad-referring', ref_name(record, index), fault)
        if faulty:
            continue
        if str(record['id']) in seen:
            yield Finding('bad-referring', ref_name(record, index), 'this id occurs twice in referring; give every '
                          'record its own id')
            continue
        seen.add(str(record['id']))
        ann_ids = list(dict.fromkeys(record['ann_ids']))
        parts.referring.setdefault(record['image_id'], []).append(
            Ref(str(record['id']), record['expressions'], ann_ids, record.get('source')))


