"""Reading a COCO part json: what is accepted, left out (and counted) or refused."""
import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mmengine import fileio
from pycocotools import mask as coco_mask

from .coco_masks import rle_from_segmentation
from .part_statistics import PartStatistics
from .referring import Referring, read_referring

SECTIONS = ('images', 'annotations', 'categories')


@dataclass(frozen=True, slots=True)
class Category:
    """A category as the json writes it.

    ``part`` says in words what the name means, ``level`` is 'object', 'part' or 'subpart', where the json has them.
    """
    category_id: int
    name: str
    super_category: str | None
    part: str | None = None
    level: str | None = None

# Run lengths are 32-bit numbers in pycocotools.
MOST_PIXELS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Part:
    """One annotation kept; ``rle`` is compressed, at the photo's own size."""
    ann_id: int
    category_id: int
    rle: dict


@dataclass(frozen=True, slots=True)
class Photo:
    """One entry of ``images``, in pixels, with its parts in the order of the json.

    ``left_out`` has the categories of annotations that were left out: something of that name is there. ``negatives``
    are the ids of categories that the json says are not there (LVIS's ``neg_category_ids``).
    """
    img_id: int | str
    file_name: str
    height: int
    width: int
    parts: list[Part] = field(default_factory=list)
    left_out: set[int] = field(default_factory=set)
    negatives: tuple[int, ...] = ()


@dataclass(frozen=True)
class CocoParts:
    """A whole json: every photo (also those without parts), the categories by id, and what was left out.

    ``referring`` has the expressions that the json brings along, by photo; None where it has no such list. ``source``
    is the data set's name, where the json's ``info`` has one.
    """
    photos: list[Photo]
    categories: dict[int, Category]
    statistics: PartStatistics
    referring: dict[Any, list[Referring]] | None = None
    source: str | None = None


def read_json(ann_file: str) -> dict:
    """Read the file and check its outermost form.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is no complete json, or lacks one of the three COCO lists.
    """
    if not ann_file:
        raise ValueError('ann_file is not given; name the COCO json, relative to data_root')
    try:
        content = fileio.get(ann_file)
    except FileNotFoundError:
        raise FileNotFoundError(f'ann_file {ann_file} does not exist; set data_root and ann_file to where the COCO '
                                'json lies') from None
    except IsADirectoryError:
        raise ValueError(f'ann_file {ann_file} is a folder; name the COCO json in it') from None
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        raise ValueError(f'{ann_file} is not a complete json: {error.msg} at line {error.lineno}, column '
                         f'{error.colno} of {len(content):,} bytes; copy or download it again') from None
    except UnicodeDecodeError:
        raise ValueError(f'{ann_file} is not a text file in UTF-8, so no json; copy or download it again') from None
    if not isinstance(document, dict):
        raise ValueError(f'{ann_file} holds a {type(document).__name__}, not an object with the lists '
                         f'{", ".join(SECTIONS)}; use a COCO json')
    for section in SECTIONS:
        if not isinstance(document.get(section), list):
            raise ValueError(f"{ann_file} has no list '{section}'; use a COCO json with {', '.join(SECTIONS)}")
    return document


class CocoPartsReader:
    """Reads one json record by record, so that every complaint names the file and the record.

    Args:
        ann_file: path of the json, as complaints show it.
    """

    def __init__(self, ann_file: str) -> None:
        self.ann_file = ann_file
        self.statistics = PartStatistics()

    def refuse(self, record: str, problem: str) -> NoReturn:
        """Raise a ValueError of one sentence."""
        raise ValueError(f'{self.ann_file}: {record}: {problem}')

    def key_by_id(self, section: str, records: list, keys: dict[str, tuple[type, ...]]) -> dict[Any, dict]:
        """Return the records by id, after a check of their keys and of the keys' types.

        Raises:
            ValueError: a key is missing or of another type, or an id occurs twice.
        """
        singular = {'images': 'image', 'annotations': 'annotation', 'categories': 'category'}[section]
        keyed: dict[Any, dict] = {}
        for index, record in enumerate(records):
            if not isinstance(record, dict):
                self.refuse(f'{section}[{index}]', f'it is a {type(record).__name__}; write an object')
            name = f"{singular} {record['id']!r}" if 'id' in record else f'{section}[{index}]'
            for key, types in keys.items():
                if key not in record:
                    self.refuse(name, f"the key '{key}' is missing; add it")
                if not isinstance(record[key], types) or isinstance(record[key], bool):
                    wanted = ' or '.join(each.__name__ for each in types)
                    self.refuse(name, f"'{key}' is {record[key]!r}, a {type(record[key]).__name__}; write {wanted}")
            if record['id'] in keyed:
                self.refuse(name, f'this id occurs twice in {section}; give every record its own')
            keyed[record['id']] = record
        return keyed

    def read_categories(self, records: list) -> dict[int, Category]:
        """Return the categories by id."""
        keyed = self.key_by_id('categories', records, {'id': (int, ), 'name': (str, )})
        categories = {}
        for category_id, record in keyed.items():
            owner = record.get('supercategory')
            if not record['name'].strip():
                self.refuse(f'category {category_id}', 'its name is empty; name the part')
            if owner is not None and not isinstance(owner, str):
                self.refuse(f'category {category_id}', f"'supercategory' is {owner!r}; write a string or leave it out")
            part = record.get('part')
            if part is not None and (not isinstance(part, str) or not part.strip()):
                self.refuse(f'category {category_id}', f"'part' is {part!r}; write the part in words or leave it out")
            level = record.get('level')
            if level not in (None, 'object', 'part', 'subpart'):
                self.refuse(f'category {category_id}', f"'level' is {level!r}; write 'object', 'part' or 'subpart' or "
                            'leave it out')
            categories[category_id] = Category(category_id, record['name'], owner, part=part, level=level)
        return categories

    def read_photos(self, records: list) -> dict[int | str, Photo]:
        """Return the photos by id, still without parts; counts backslashes."""
        keys: dict[str, tuple[type, ...]] = {
            'id': (int, str), 'file_name': (str, ), 'height': (int, ), 'width': (int, )
        }
        keyed = self.key_by_id('images', records, keys)
        photos = {}
        for img_id, record in keyed.items():
            if record['height'] <= 0 or record['width'] <= 0:
                self.refuse(f'image {img_id!r}', f"height {record['height']} and width {record['width']} should be "
                            'positive; write the photo\'s size in pixels')
            if record['height'] * record['width'] > MOST_PIXELS:
                self.refuse(f'image {img_id!r}', f"{record['height']} x {record['width']} pixels are more than COCO's "
                            f'masks can count ({MOST_PIXELS:,}); write the photo\'s size in pixels')
            name = record['file_name']
            if '\\' in name:
                name = name.replace('\\', '/')
                self.statistics.backslash_file_names += 1
            negatives = record.get('neg_category_ids', [])
            if not isinstance(negatives, list) or not all(isinstance(each, int) for each in negatives):
                self.refuse(f'image {img_id!r}', f"'neg_category_ids' is {negatives!r}; write a list of category ids")
            photos[img_id] = Photo(img_id, name, record['height'], record['width'], negatives=tuple(negatives))
        self.statistics.photos_in_json = len(photos)
        return photos

    def read_part(self, record: dict, photo: Photo) -> Part | None:
        """Return one annotation as a part of its photo, or count why not and return None."""
        counts = self.statistics
        if record.get('iscrowd'):
            counts.crowd_left_out += 1
            return None
        if 'segmentation' not in record:
            self.refuse(f"annotation {record['id']}", "the key 'segmentation' is missing; add its polygons or RLE")
        try:
            # Popped, so that the long lists of coordinates go as soon as they are read.
            rle, discarded = rle_from_segmentation(record.pop('segmentation'), photo.height, photo.width)
        except ValueError as error:
            self.refuse(f"annotation {record['id']} of photo {photo.file_name}", str(error))
        counts.short_rings_discarded += discarded
        if rle is None:
            counts.no_ring_left_out += 1
            return None
        if record.get('area', 1) == 0 or not coco_mask.area(rle):
            counts.zero_area_left_out += 1
            return None
        counts.parts_kept += 1
        return Part(record['id'], record['category_id'], rle)

    def read(self) -> CocoParts:
        """Read the file; see ``read_coco_parts``."""
        document = read_json(self.ann_file)
        categories = self.read_categories(document['categories'])
        photos = self.read_photos(document['images'])
        keys: dict[str, tuple[type, ...]] = {'id': (int, ), 'image_id': (int, str), 'category_id': (int, )}
        annotations = self.key_by_id('annotations', document['annotations'], keys)
        for ann_id, record in annotations.items():
            for key, known, section in (('image_id', photos, 'images'), ('category_id', categories, 'categories')):
                if record[key] not in known:
                    self.refuse(f'annotation {ann_id}', f'its {key} {record[key]!r} is not among the {section}; '
                                f'add that record to {section} or drop the annotation')
            photo = photos[record['image_id']]
            part = self.read_part(record, photo)
            if part is not None:
                photo.parts.append(part)
            else:
                photo.left_out.add(record['category_id'])
        self.statistics.annotations_in_json = len(annotations)
        self.statistics.photos_with_parts = sum(bool(photo.parts) for photo in photos.values())
        referring = None
        if 'referring' in document:
            image_of = {ann_id: record['image_id'] for ann_id, record in annotations.items()}
            referring = read_referring(document['referring'], photos, image_of, self.refuse)
        info = document.get('info')
        source = info.get('source') if isinstance(info, dict) else None
        return CocoParts(list(photos.values()), categories, self.statistics, referring,
                         source if isinstance(source, str) else None)


def read_coco_parts(ann_file: str) -> CocoParts:
    """Read a COCO part json, masks as compressed RLE.

    Left out and counted: crowd annotations, annotations of zero area, rings of fewer than three points. Refused: what
    cannot be read without guessing.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a record is damaged, points to nothing or has another's id; one sentence names file, record and
            mend.
    """
    return CocoPartsReader(ann_file).read()
