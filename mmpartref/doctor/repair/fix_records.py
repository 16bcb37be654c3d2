"""Mending the records of a COCO part json: what can be mended without guessing."""
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.check_masks import measure_faults, read_mask, ring_fault
from mmpartref.doctor.category_names import MAP_LABELS, is_partimagenet, meaning_of, without_alias
from mmpartref.doctor.checks.check_names import (
    ANNOTATION_KEYS,
    CATEGORY_KEYS,
    IMAGE_KEYS,
    SINGULAR,
    ids_of,
    owner_of,
    part_of,
    record_fault,
)
from mmpartref.masks.polygons import clip_ring

KEYS = {'images': IMAGE_KEYS, 'annotations': ANNOTATION_KEYS, 'categories': CATEGORY_KEYS}


@dataclass(frozen=True)
class Repair:
    """One change: ``key`` of a record from ``old`` to ``new``; without a key the record ``old`` was dropped."""
    code: str
    section: str
    id: Any
    key: str | None
    old: Any
    new: Any

    def as_dict(self) -> dict[str, Any]:
        """Return everything for a json."""
        return asdict(self)


class RecordMender:
    """Mends one json in place, section by section; unsound records are left as they are.

    Args:
        document: a COCO json with its three lists.

    Attributes:
        repairs: every change, in order.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.repairs: list[Repair] = []

    def mend(self) -> list[Repair]:
        """Mend everything; returns ``repairs``."""
        for section in KEYS:
            self.drop_repeated(section)
        self.rename_categories()
        self.mend_file_names()
        self.drop_dangling()
        self.mend_masks()
        return self.repairs

    def sound(self, section: str) -> list[dict]:
        """Return the records of a section whose keys are sound."""
        return [record for record in self.document[section] if not record_fault(record, section, KEYS[section])]

    def set(self, code: str, section: str, record: dict, key: str, new: Any) -> None:
        """Change a record and note it."""
        self.repairs.append(Repair(code, section, record['id'], key, record.get(key), new))
        record[key] = new

    def drop(self, section: str, why: Callable[[dict], str]) -> None:
        """Drop the sound records for which ``why`` gives a code."""
        kept = []
        for record in self.document[section]:
            code = '' if record_fault(record, section, KEYS[section]) else why(record)
            if code:
                self.repairs.append(Repair(code, section, record['id'], None, record, None))
            else:
                kept.append(record)
        self.document[section] = kept

    def drop_repeated(self, section: str) -> None:
        """Drop records that are there twice; an annotation that only has another's id gets one of its own."""
        code = f'duplicate-{SINGULAR[section]}-id'
        first: dict[Any, dict] = {}

        def why(record: dict) -> str:
            other = first.setdefault(record['id'], record)
            return code if other is not record and other == record else ''

        self.drop(section, why)
        if section != 'annotations':
            return
        # Nothing points to the id of an annotation, so a new one is safe.
        free = max((record['id'] for record in self.sound(section)), default=0) + 1
        for record in self.sound(section):
            if first[record['id']] is not record:
                self.set(code, section, record, 'id', free)
                free += 1

    def rename_categories(self) -> None:
        """Give aliased categories of PartImageNet the name they are read as."""
        categories = self.sound('categories')
        meanings = {id(record): meaning_of(record['name'], owner_of(record), part_of(record))
                    for record in categories}
        if not is_partimagenet(meanings.values(), (record['file_name'] for record in self.sound('images'))):
            return
        times = Counter(meanings.values())
        for record in categories:
            meaning = meanings[id(record)]
            new = without_alias(record['name'])
            if new != record['name'] and meaning in MAP_LABELS and times[meaning] == 1:
                self.set('alias-name', 'categories', record, 'name', new)

    def mend_file_names(self) -> None:
        """Write '/' for backslashes, and unite images of one file and size."""
        first: dict[tuple[str, int, int], dict] = {}
        united: dict[Any, Any] = {}
        for record in self.sound('images'):
            name = record['file_name'].replace('\\', '/')
            if name != record['file_name']:
                self.set('backslash-in-file-name', 'images', record, 'file_name', name)
            other = first.setdefault((record['file_name'], record['height'], record['width']), record)
            if other['id'] != record['id']:
                united[record['id']] = other['id']
        for record in self.sound('annotations'):
            if record['image_id'] in united:
                self.set('duplicate-file-name', 'annotations', record, 'image_id', united[record['image_id']])
        self.drop('images', lambda record: 'duplicate-file-name' if record['id'] in united else '')

    def drop_dangling(self) -> None:
        """Drop annotations without an image or a category."""
        images, categories = ids_of(self.document['images']), ids_of(self.document['categories'])

        def why(record: dict) -> str:
            if record['image_id'] not in images:
                return 'dangling-image-id'
            return '' if record['category_id'] in categories else 'dangling-category-id'

        self.drop('annotations', why)

    def mend_masks(self) -> None:
        """Mend polygons, then drop what covers nothing or is there twice, then measure again."""
        sizes: dict[Any, tuple[int, int]] = {}
        for record in self.sound('images'):
            sizes.setdefault(record['id'], (record['height'], record['width']))
        seen: set[tuple] = set()

        def why(record: dict) -> str:
            size = sizes.get(record['image_id'])
            if size is None or record.get('iscrowd'):
                return ''
            lost = self.mend_rings(record, *size)
            if lost:
                return lost
            rle, _ = read_mask(record['segmentation'], *size)
            if rle is None:
                return ''
            if not coco_mask.area(rle):
                return 'empty-mask'
            key = (record['image_id'], record['category_id'], rle['counts'])
            if key in seen:
                return 'duplicate-annotation'
            seen.add(key)
            for fault in measure_faults(record, rle):
                if fault.code == 'wrong-area':
                    self.set(fault.code, 'annotations', record, 'area', int(coco_mask.area(rle)))
                else:
                    self.set(fault.code, 'annotations', record, 'bbox', coco_mask.toBbox(rle).tolist())
            return ''

        self.drop('annotations', why)

    def mend_rings(self, record: dict, height: int, width: int) -> str:
        """Drop or clip an annotation's rings; returns a code where none remains."""
        rings = record['segmentation']
        if not isinstance(rings, list):
            return ''
        if not rings:
            return 'no-ring'
        mended, code = [], ''
        for ring in rings:
            fault = ring_fault(ring, height, width)
            if fault is None or fault.code not in ('short-ring', 'zero-area-ring', 'outside-photo'):
                mended.append(ring)
                continue
            code = fault.code
            clipped = clip_ring(ring, height, width) if code == 'outside-photo' else []
            if ring_fault(clipped, height, width) is None:
                mended.append(clipped)
        if code and mended:
            self.set(code, 'annotations', record, 'segmentation', mended)
        return '' if mended else code
