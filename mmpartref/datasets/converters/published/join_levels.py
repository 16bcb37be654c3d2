"""Join of jsons of objects, parts and subparts of the same images into one whose categories have a ``level``."""
from collections.abc import Collection, Mapping

from mmpartref.datasets.coco.record_faults import record_faults
from mmpartref.datasets.coco.records import LEVELS, Category, PartName, plain, split_category
from mmpartref.datasets.converters.standard_json import read_sections
from mmpartref.errors import InputError
from mmpartref.text import shown, shown_name


def category_meaning(category: dict, where: str) -> PartName:
    """Return (super-category, part) of a category's record; raises an ``InputError`` if it is not a category's."""
    for fault in record_faults(category, 'categories'):
        raise InputError(f'{where}: {fault}')
    name, owner, part = category['name'], category.get('supercategory'), category.get('part')
    return PartName(plain(owner or ''), plain(part)) if part else split_category(Category(category['id'], name, owner))


def joined_category(category: dict, level: str, owners: Collection[str], where: str) -> dict:
    """Return a category of the joined json, without its id.

    Args:
        category: from the file of ``level``.
        owners: super-categories of the parts; a subpart's begins with one of them.
        where: file and record, for the message.
    """
    owner, part = category_meaning(category, where)
    if level == 'object':
        return {'name': part, 'supercategory': part, 'level': level}
    if level == 'subpart':
        found = [each for each in owners if owner.startswith(f'{each} ')]
        if not found:
            raise InputError(f'{where}: its super-category {shown(owner)} does not begin with one of the parts\' '
                             f'({shown(", ".join(sorted(owners)))}); use jsons of one dataset')
        whole = max(found, key=len)
        owner, part = whole, f'{part} of the {owner.removeprefix(whole).strip()}'
    return {'name': f'{owner} {part}', 'supercategory': owner, 'level': level}


def join_levels(files: Mapping[str, str]) -> tuple[dict, list[str]]:
    """Return one json, and lines that count its content.

    Images with the same id are the same. Annotations and categories get new ids. A subpart, whose super-category is
    its part ("car tire"), becomes "rim of the tire" of a "car", so that the template ``the {part} of the
    {super_category}`` gives "the rim of the tire of the car".

    Args:
        files: jsons by level, of one or more of ``LEVELS``.

    Raises:
        InputError: two files have different images with one id, or a subpart's object has no parts.
    """
    joined_images: dict[int, dict] = {}
    joined: dict[str, list[dict]] = {'images': [], 'annotations': [], 'categories': []}
    owners: set[str] = set()
    lines = []
    for level, path in ((level, files[level]) for level in LEVELS if level in files):
        images, annotations, categories = read_sections(path)
        path = shown_name(path)
        for key, image in images.items():
            other = joined_images.setdefault(key, image)
            if any(other.get(side) != image.get(side) for side in ('file_name', 'height', 'width')):
                raise InputError(f'{path}: image {key} has another name or size than in the files before; join jsons '
                                 'of the same images')
        new_ids = {}
        for key, category in categories.items():
            where = f'{path}: category {key}'
            if level == 'part':
                owners.add(category_meaning(category, where)[0])
            new_ids[key] = len(joined['categories'])
            joined['categories'].append({'id': new_ids[key], **joined_category(category, level, owners, where)})
        for record in annotations.values():
            joined['annotations'].append(
                {**record, 'id': len(joined['annotations']), 'category_id': new_ids[record['category_id']]})
        lines.append(f'{level}: {len(annotations):,} annotations of {len(new_ids)} categories in {len(images):,} '
                     f'images, from {path}')
    return {**joined, 'images': list(joined_images.values())}, lines
