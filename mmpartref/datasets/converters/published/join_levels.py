"""Three jsons of the same photos, objects, parts and parts of parts, as one whose categories say their level."""
from collections.abc import Collection, Mapping

from mmpartref.datasets.coco.read_coco import read_json
from mmpartref.datasets.coco.records import LEVELS, PartName, plain
from mmpartref.datasets.converters.standard_json import Document, by_id, field
from mmpartref.datasets.referring.expressions import split_category
from mmpartref.errors import InputError


def words_of(category: dict, where: str) -> PartName:
    """Return (super-category, part) as the record says them."""
    name, owner, part = field(category, 'name', str, where), category.get('supercategory'), category.get('part')
    return PartName(plain(owner or ''), plain(part)) if part else split_category(name, owner)


def joined_category(category: dict, level: str, owners: Collection[str], where: str) -> dict:
    """Return a category of the joined json, still without its id.

    Args:
        category: as one of the files has it.
        level: of that file.
        owners: super-categories of the parts.
        where: names file and record in the complaint.

    Raises:
        ValueError: a sub-part's super-category does not begin with one of the parts'.
    """
    owner, part = words_of(category, where)
    if level == 'object':
        return {'name': part, 'supercategory': part, 'level': level}
    if level == 'subpart':
        found = [each for each in owners if owner.startswith(f'{each} ')]
        if not found:
            raise InputError(f'{where}: it is a part of {owner!r}, which is no part of an object that the parts are of '
                             f'({", ".join(sorted(owners))})')
        whole = max(found, key=len)
        owner, part = whole, f'{part} of the {owner.removeprefix(whole).strip()}'
    return {'name': f'{owner} {part}', 'supercategory': owner, 'level': level}


def join_levels(files: Mapping[str, str]) -> tuple[Document, list[str]]:
    """Return one json, and lines that count what is in it.

    Photos are the same where their ids are. Annotations and categories get new ids. A sub-part, whose super-category is
    its part ("car tire"), becomes "rim of the tire" of a "car", so that the template ``the {part} of the
    {super_category}`` says "the rim of the tire of the car".

    Args:
        files: a json for each of ``LEVELS`` that there is.

    Raises:
        ValueError: two files mean different photos by one id, or a sub-part is of no object that has parts.
    """
    photos: dict[int, dict] = {}
    joined: Document = {'images': photos, 'annotations': [], 'categories': []}
    owners: set[str] = set()
    lines = []
    for level in LEVELS:
        if level not in files:
            continue
        path = files[level]
        document = read_json(path)
        for key, image in by_id(document, 'images', path).items():
            other = photos.setdefault(key, image)
            if any(other.get(side) != image.get(side) for side in ('file_name', 'height', 'width')):
                raise InputError(f'{path}: image {key} has another name or size than in the files before; join jsons '
                                 'of the same photos')
        new_ids = {}
        for key, category in by_id(document, 'categories', path).items():
            where = f'{path}: category {key}'
            if level == 'part':
                owners.add(words_of(category, where)[0])
            new_ids[key] = len(joined['categories'])
            joined['categories'].append({'id': new_ids[key], **joined_category(category, level, owners, where)})
        for key, record in by_id(document, 'annotations', path).items():
            if record.get('category_id') not in new_ids:
                raise InputError(f"{path}: annotation {key}: its category_id {record.get('category_id')!r} is not "
                                 'among the categories')
            joined['annotations'].append(
                {**record, 'id': len(joined['annotations']), 'category_id': new_ids[record['category_id']]})
        lines.append(f"{level}: {len(document['annotations']):,} annotations of {len(new_ids)} categories in "
                     f"{len(document['images']):,} photos, from {path}")
    return {**joined, 'images': list(photos.values())}, lines
