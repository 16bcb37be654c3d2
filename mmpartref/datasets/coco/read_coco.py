"""Reading a COCO part json: what is accepted, left out (and counted) or refused."""
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.coco_document import read_json
from mmpartref.datasets.coco.dataset_statistics import PartStatistics
from mmpartref.datasets.coco.records import Category, Part, Photo
from mmpartref.datasets.coco.refs import Referring, read_referring
from mmpartref.errors import InputError
from mmpartref.masks.rle import is_number, rle_from_segmentation
from mmpartref.text import shown, shown_name, text_fault

# Run lengths are 32-bit numbers in pycocotools, and OpenCV 4 counts a warp's pixels in 16 bits.
MOST_PIXELS, MOST_SIDE = 2**31 - 1, 32766


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
        raise InputError(f'{self.ann_file}: {record}: {problem}')

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
            name = f"{singular} {shown(record['id'])}" if 'id' in record else f'{section}[{index}]'
            for key, types in keys.items():
                if key not in record:
                    self.refuse(name, f"the key '{key}' is missing; add it")
                if not isinstance(record[key], types) or isinstance(record[key], bool):
                    wanted = ' or '.join(each.__name__ for each in types)
                    self.refuse(name, f"'{key}' is {shown(record[key])}, a {type(record[key]).__name__}; write "
                                f'{wanted}')
                if isinstance(record[key], str):
                    fault = text_fault(record[key], blank=f"'{key}' is {shown(record[key])}, which is blank; fill it")
                    if fault:
                        self.refuse(name, fault)
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
            if owner is not None and not isinstance(owner, str):
                self.refuse(f'category {category_id}', f"'supercategory' is {shown(owner)}; write a string or leave it "
                            'out')
            if owner is not None and (fault := text_fault(owner)):
                self.refuse(f'category {category_id}', fault)
            part = record.get('part')
            if part is not None and (not isinstance(part, str) or text_fault(part, blank='blank')):
                self.refuse(f'category {category_id}', f"'part' is {shown(part)}; write the part in words or "
                            'leave it out')
            level = record.get('level')
            if level not in (None, 'object', 'part', 'subpart'):
                self.refuse(f'category {category_id}', f"'level' is {shown(level)}; write 'object', 'part' or "
                            "'subpart' or leave it out")
            categories[category_id] = Category(category_id, record['name'], owner, part=part, level=level)
        return categories

    def read_photos(self, records: list) -> dict[int | str, Photo]:
        """Return the photos by id, still without parts; counts backslashes."""
        keys: dict[str, tuple[type, ...]] = {
            'id': (int, str), 'file_name': (str, ), 'height': (int, ), 'width': (int, )
        }
        keyed = self.key_by_id('images', records, keys)
        photos: dict[int | str, Photo] = {}
        # Refs are named after their photo's id as text.
        spoken = {str(img_id): img_id for img_id in keyed}
        for img_id, record in keyed.items():
            name = f'image {shown(img_id)}'
            if spoken[str(img_id)] != img_id:
                self.refuse(name, 'another image has the same id as a number or a string; give every record its own')
            self.check_size(name, record['height'], record['width'])
            file_name = record['file_name']
            if '\0' in file_name:
                self.refuse(name, f"'file_name' is {shown(file_name)}, with a zero character; correct it")
            if '\\' in file_name:
                file_name = file_name.replace('\\', '/')
                self.statistics.backslash_file_names += 1
            negatives = record.get('neg_category_ids', [])
            if not isinstance(negatives, list) or not all(type(each) is int for each in negatives):
                self.refuse(name, f"'neg_category_ids' is {shown(negatives)}; write a list of category ids")
            photos[img_id] = Photo(img_id, file_name, record['height'], record['width'], negatives=tuple(negatives))
        self.statistics.photos_in_json = len(photos)
        return photos

    def check_size(self, name: str, height: int, width: int) -> None:
        """Refuse a photo's size that no photo has."""
        if height <= 0 or width <= 0:
            self.refuse(name, f"height {shown(height)} and width {shown(width)} should be positive; write the photo's "
                        'size in pixels')
        if height * width > MOST_PIXELS:
            self.refuse(name, f"{shown(height)} x {shown(width)} pixels are more than COCO's masks can count "
                        f"({MOST_PIXELS:,}); write the photo's size in pixels")
        if max(height, width) > MOST_SIDE:
            self.refuse(name, f"{height} x {width} pixels: sides up to {MOST_SIDE:,} can be scaled; write the photo's "
                        'size in pixels, or make photo and masks smaller')

    def check_numbers(self, record: dict) -> None:
        """Refuse numbers of an annotation that mean nothing; a box is not used here, but by detectors."""
        name = f"annotation {record['id']}"
        if record.get('iscrowd') not in (None, 0, 1):
            self.refuse(name, f"'iscrowd' is {shown(record['iscrowd'])}; write 0 or 1")
        area, bbox = record.get('area'), record.get('bbox')
        if area is not None and not (is_number(area) and 0 <= area < math.inf):
            self.refuse(name, f"'area' is {shown(area)}; write the mask's pixels, or leave it out")
        if bbox is not None and not (isinstance(bbox, list) and len(bbox) in (0, 4) and all(map(is_number, bbox))
                                     and all(abs(side) < math.inf for side in bbox)):
            self.refuse(name, f"'bbox' is {shown(bbox)}; write x, y, width, height in pixels, or leave it out")

    def read_part(self, record: dict, photo: Photo) -> Part | None:
        """Return one annotation as a part of its photo, or count why not and return None."""
        counts = self.statistics
        self.check_numbers(record)
        if record.get('iscrowd'):
            counts.crowd_left_out += 1
            return None
        if 'segmentation' not in record:
            self.refuse(f"annotation {record['id']}", "the key 'segmentation' is missing; add its polygons or RLE")
        try:
            # Popped, so that the long lists of coordinates go as soon as they are read.
            rle, discarded = rle_from_segmentation(record.pop('segmentation'), photo.height, photo.width)
        except ValueError as error:
            self.refuse(f"annotation {record['id']} of photo {shown_name(photo.file_name)}", str(error))
        counts.short_rings_discarded += discarded
        if rle is None:
            counts.no_ring_left_out += 1
            return None
        if record.get('area') == 0 or not coco_mask.area(rle):
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
                    self.refuse(f'annotation {ann_id}', f'its {key} {shown(record[key])} is not among the {section}; '
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
        if isinstance(source, str) and (fault := text_fault(source)):
            self.refuse('info.source', fault)
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
