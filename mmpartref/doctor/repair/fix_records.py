"""Repair of the records of a COCO json of parts, as far as no guess is needed."""
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.check_masks import measure_faults, ring_fault
from mmpartref.datasets.coco.record_faults import (
    KEYS,
    SECTION_FAULTS,
    SINGULAR,
    ids_of,
    is_id,
    record_faults,
    ref_faults,
)
from mmpartref.datasets.coco.records import PartName, split_category
from mmpartref.datasets.coco.validate import CocoParts, read_categories
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import name_partimagenet_category
from mmpartref.doctor.category_names import MAP_LABELS, without_alias
from mmpartref.doctor.checks.check_names import looks_like_partimagenet
from mmpartref.masks.polygons import clip_ring
from mmpartref.masks.rle import rle_from_segmentation
from mmpartref.text import text_fault


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


class RecordFixer:
    """Repairs one json in place.

    Numbers written as text are converted, optional values that cannot be used are removed, areas and boxes are computed
    from the masks, and annotations without a usable mask, image or category are dropped. Images and categories are only
    dropped where they are repeated or faulty and no annotation needs them; what remains faulty needs a person.

    Args:
        document: a COCO json with its three lists.
        wrong_size: ids of images whose file has another size than the json, whose masks are left as they are: clipping
            them to a wrong size would lose pixels.

    Attributes:
        repairs: every change, in order.
    """

    def __init__(self, document: dict[str, Any], wrong_size: Collection[int | str] = ()) -> None:
        self.document = document
        self.wrong_size = set(wrong_size)
        self.repairs: list[Repair] = []
        # Ids of repeated annotations that were dropped, and those of the annotations that stay for them.
        self.replaced: dict[int, int] = {}

    def fix(self) -> list[Repair]:
        """Repair everything; returns ``repairs``."""
        for section in KEYS:
            self.drop(section, lambda record: '' if isinstance(record, dict) else 'bad-record', every=True)
            self.fix_values(section)
        self.fix_pointers()
        for section in KEYS:
            self.drop_repeated(section)
        self.rename_categories()
        self.fix_file_names()
        self.drop_dangling()
        self.fix_masks()
        self.fix_referring()
        self.drop_unused()
        return self.repairs

    def usable(self, section: str) -> list[dict]:
        """Return the records of a section without a fault."""
        return [record for record in self.document[section] if not any(record_faults(record, section))]

    def change(self, code: str, section: str, record: dict, key: str, new: Any) -> None:
        """Change a value and log it; None removes the key."""
        self.repairs.append(Repair(code, section, record.get('id'), key, record.get(key), new))
        if new is None:
            record.pop(key, None)
        else:
            record[key] = new

    def drop(self, section: str, why: Callable[[dict], str], every: bool = False) -> None:
        """Drop the usable records, or every one, for which ``why`` returns a code."""
        remaining = []
        for record in self.document[section]:
            code = why(record) if every or not any(record_faults(record, section)) else ''
            if code:
                self.repairs.append(
                    Repair(code, section, record.get('id') if isinstance(record, dict) else None, None, record, None))
            else:
                remaining.append(record)
        self.document[section] = remaining

    def fix_values(self, section: str) -> None:
        """Convert numbers written as text, and remove optional values that cannot be used."""
        for record in self.document[section]:
            for key, types in KEYS[section].items():
                value = record.get(key)
                number = whole_number(value) if types == (int, ) or isinstance(value, float) else None
                if int in types and number is not None and type(value) is not int:
                    self.change('bad-record', section, record, key, number)
            if section == 'images' and isinstance(record.get('neg_category_ids'), list):
                numbers = [whole_number(each) for each in record['neg_category_ids']]
                usable = [each for each in numbers if each is not None]
                if usable != record['neg_category_ids'] or not set(map(type, record['neg_category_ids'])) <= {int}:
                    self.change('bad-record', section, record, 'neg_category_ids', usable)
            for key in OPTIONAL[section]:
                # Validates the value in a record that is valid otherwise.
                if key in record and any(SECTION_FAULTS[section]({**SAMPLES[section], key: record[key]})):
                    number = whole_number(record[key]) if key == 'iscrowd' else None
                    self.change('bad-record', section, record, key, number if number in (0, 1) else None)

    def fix_pointers(self) -> None:
        """Write ids that annotations name as the records have them: 1 instead of "1", or the other way round."""
        for key, section in (('image_id', 'images'), ('category_id', 'categories')):
            ids = ids_of(self.document[section])
            times = Counter(map(str, ids))
            by_text = {str(each): each for each in ids if times[str(each)] == 1}
            for record in (*self.document['annotations'], *self._refs()):
                if isinstance(record, dict) and is_id(record.get(key)) and record[key] not in ids:
                    found = by_text.get(str(record[key]))
                    if found is not None:
                        self.change('bad-record', _section(record), record, key, found)

    def _refs(self) -> list:
        refs = self.document.get('referring')
        return refs if isinstance(refs, list) else []

    def drop_repeated(self, section: str) -> None:
        """Drop identical records; other annotations with the id of an earlier one get a new id."""
        code = f'duplicate-{SINGULAR[section]}-id'
        first: dict[Any, dict] = {}

        def why(record: dict) -> str:
            other = first.setdefault(record['id'], record)
            return code if other is not record and other == record else ''

        if section == 'annotations':
            free = max((each for each in ids_of(self.document[section]) if isinstance(each, int)), default=0) + 1
            for record in self.document[section]:
                if type(record.get('id')) is not int:
                    self.change('bad-record', section, record, 'id', free)
                    free += 1
        self.drop(section, why)
        if section == 'annotations':
            # Only 'referring' points to annotations; the first one keeps its id.
            for record in self.usable(section):
                if first[record['id']] is not record:
                    self.change(code, section, record, 'id', free)
                    free += 1

    def rename_categories(self) -> None:
        """Replace aliased names of PartImageNet's categories."""
        if not looks_like_partimagenet(self.document):
            return
        categories = self.usable('categories')
        names = self.names_of(categories)
        times = Counter(names.values())
        for record in categories:
            name, new = names[record['id']], without_alias(record['name'])
            if new != record['name'] and name in MAP_LABELS and times[name] == 1:
                self.change('alias-name', 'categories', record, 'name', new)

    def fix_file_names(self) -> None:
        """Write '/' for backslashes, and unite images of one file and size."""
        first: dict[tuple[str, int, int], dict] = {}
        united: dict[Any, Any] = {}
        for record in self.usable('images'):
            name = record['file_name'].replace('\\', '/')
            if name != record['file_name']:
                self.change('backslash-in-file-name', 'images', record, 'file_name', name)
            other = first.setdefault((record['file_name'], record['height'], record['width']), record)
            if other['id'] != record['id']:
                united[record['id']] = other['id']
                old = other.get('neg_category_ids', [])
                both = list(dict.fromkeys([*old, *record.get('neg_category_ids', [])]))
                if both != old:
                    self.change('duplicate-file-name', 'images', other, 'neg_category_ids', both)
        for record in (*self.document['annotations'], *self._refs()):
            if isinstance(record, dict) and is_id(record.get('image_id')) and record['image_id'] in united:
                if record.get('object_id') is not None:
                    # The other image may have the same id for another object.
                    self.change('duplicate-file-name', 'annotations', record, 'object_id',
                             f"{record['image_id']}:{record['object_id']}")
                self.change('duplicate-file-name', _section(record), record, 'image_id', united[record['image_id']])
        self.drop('images', lambda record: 'duplicate-file-name' if record['id'] in united else '')

    def drop_dangling(self) -> None:
        """Drop annotations without an image or a category."""
        images, categories = ids_of(self.document['images']), ids_of(self.document['categories'])

        def why(record: dict) -> str:
            if record['image_id'] not in images:
                return 'dangling-image-id'
            return '' if record['category_id'] in categories else 'dangling-category-id'

        self.drop('annotations', why)

    def fix_masks(self) -> None:
        """Repair polygons, drop annotations without a usable mask and repeated ones, compute areas and boxes."""
        sizes = {record['id']: (record['height'], record['width']) for record in reversed(self.usable('images'))}
        first: dict[tuple, int] = {}

        def why(record: dict) -> str:
            if any(record_faults(record, 'annotations')):
                return 'bad-record' if 'segmentation' in record else 'bad-segmentation'
            size = sizes.get(record['image_id'])
            if size is None or record.get('iscrowd') or record['image_id'] in self.wrong_size:
                return ''
            if lost := self.fix_rings(record, *size):
                return lost
            try:
                rle, _ = rle_from_segmentation(record['segmentation'], *size)
            except ValueError:
                return 'bad-segmentation'
            if rle is None or not coco_mask.area(rle):
                return 'empty-mask'
            key = (record['image_id'], record['category_id'], record.get('object_id'), rle['counts'])
            if first.setdefault(key, record['id']) != record['id']:
                self.replaced[record['id']] = first[key]
                return 'duplicate-annotation'
            for code, measure, _, value in measure_faults(record, rle):
                self.change(code, 'annotations', record, measure, value)
            return ''

        self.drop('annotations', why, every=True)

    def fix_rings(self, record: dict, height: int, width: int) -> str:
        """Flatten, clip or drop the rings of an annotation; returns a code where none remains."""
        if not isinstance(record['segmentation'], list):
            return ''
        rings = flat_rings(record['segmentation'])
        if not rings:
            return 'no-ring'
        remaining = []
        code = 'bad-segmentation' if rings != record['segmentation'] else ''
        for ring in rings:
            fault = ring_fault(ring, height, width)
            # Points on one line may cover pixels, which the dataset uses.
            if fault is None or (fault[0] == 'zero-area-ring' and coco_mask.area(
                    rle_from_segmentation([ring], height, width)[0])):
                remaining.append(ring)
                continue
            code = fault[0]
            clipped = clip_ring(ring, height, width) if code == 'outside-image' else []
            if clipped and ring_fault(clipped, height, width) is None:
                remaining.append(clipped)
        if code and remaining:
            self.change(code, 'annotations', record, 'segmentation', remaining)
        return '' if remaining else code

    def drop_unused(self) -> None:
        """Drop faulty images and categories that no annotation names, and unused categories of a repeated meaning."""
        rows = [record for record in (*self.document['annotations'], *self._refs()) if isinstance(record, dict)]
        for section, key in (('images', 'image_id'), ('categories', 'category_id')):
            used = ids_of([{'id': record.get(key)} for record in rows])

            def faulty(record: dict, section: str = section, used: set = used) -> str:
                unused = not is_id(record.get('id')) or record['id'] not in used
                return 'bad-record' if unused and any(record_faults(record, section)) else ''

            self.drop(section, faulty, every=True)
        names = self.names_of(self.usable('categories'))
        taken = {names[record['id']] for record in self.usable('categories') if record['id'] in used}

        def repeated(record: dict) -> str:
            name = names[record['id']]
            if record['id'] not in used and name in taken:
                return 'same-meaning'
            taken.add(name)
            return ''

        self.drop('categories', repeated)

    def names_of(self, categories: list[dict]) -> dict[int, PartName]:
        """Return the meanings of usable categories, by id."""
        naming = name_partimagenet_category if looks_like_partimagenet(self.document) else split_category
        parts = CocoParts()
        for _ in read_categories({**self.document, 'categories': categories}, naming, 'part', parts):
            pass
        return parts.names

    def fix_referring(self) -> None:
        """Repair the records of ``referring``.

        Annotations that were dropped as repeated are replaced by the ones that stay; others that do not exist, blank
        expressions and sources that are not a name are removed; a repeated id gets a number. A record without a usable
        expression, or all of whose annotations were dropped, is dropped: its expressions refer to something.
        """
        if not isinstance(self.document.get('referring', []), list):
            return
        image_of = {record['id']: record['image_id'] for record in self.usable('annotations')}
        images = ids_of(self.document['images'])
        ids: set[str] = set()

        def why(record: Any) -> str:
            if isinstance(record, dict):
                self.fix_ref(record, image_of, ids)
            if any(ref_faults(record, images, image_of)):
                return 'bad-referring'
            ids.add(str(record['id']))
            return ''

        if 'referring' in self.document:
            self.drop('referring', why, every=True)

    def fix_ref(self, record: dict, image_of: Mapping[int, Any], ids: set[str]) -> None:
        """Repair one record of ``referring``.

        Args:
            record: of the list.
            image_of: the image of each usable annotation, by id.
            ids: of the records before it.
        """
        if isinstance(record.get('ann_ids'), list):
            numbers = [whole_number(each) for each in record['ann_ids']]
            found = [self.replaced.get(each, each) for each in numbers if each is not None]
            usable = [each for each in dict.fromkeys(found) if image_of.get(each, _MISSING) == record.get('image_id')]
            if usable and usable != record['ann_ids']:
                self.change('bad-referring', 'referring', record, 'ann_ids', usable)
        texts = record.get('expressions')
        if isinstance(texts, list):
            usable_texts = [each for each in texts
                            if isinstance(each, str) and not text_fault(each, blank='it is blank')]
            if usable_texts and usable_texts != texts:
                self.change('bad-referring', 'referring', record, 'expressions', usable_texts)
        source = record.get('source')
        if source is not None and (not isinstance(source, str) or text_fault(source)):
            self.change('bad-referring', 'referring', record, 'source', None)
        if is_id(record.get('id')) and str(record['id']) in ids:
            number = 2
            while f"{record['id']}-{number}" in ids:
                number += 1
            self.change('bad-referring', 'referring', record, 'id', f"{record['id']}-{number}")


def flat_rings(rings: list) -> list:
    """Return a polygon as a list of flat rings: of one ring, or of points, [[x, y], [x, y], ...], at either depth."""
    def is_points(value: object) -> bool:
        return isinstance(value, list) and len(value) > 2 and all(
            isinstance(point, list) and len(point) == 2 and not isinstance(point[0], list) for point in value)

    if rings and not any(isinstance(each, (list, dict)) for each in rings):
        return [rings]
    if is_points(rings):
        return [[number for point in rings for number in point]]
    return [[number for point in ring for number in point] if is_points(ring) else ring for ring in rings]


# Optional keys of the records, and records in which each of them can be tried.
OPTIONAL: Mapping[str, tuple[str, ...]] = {
    'images': ('neg_category_ids', ), 'categories': ('supercategory', 'part', 'level'),
    'annotations': ('iscrowd', 'area', 'bbox', 'object_id')}
SAMPLES: Mapping[str, dict[str, Any]] = {
    'images': {'file_name': 'a', 'height': 1, 'width': 1}, 'categories': {}, 'annotations': {'segmentation': []}}
_MISSING = object()


def _section(record: dict) -> str:
    """Return the section of an annotation or a ref."""
    return 'referring' if 'expressions' in record else 'annotations'


def whole_number(value: object) -> int | None:
    """Return the whole number that a value is or spells, or None."""
    if isinstance(value, (bool, int)):
        return int(value)
    try:
        number = float(value) if isinstance(value, (str, float)) else float('nan')
    except ValueError:
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else None
