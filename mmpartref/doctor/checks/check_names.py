"""Validation of a split's json, and checks of its names against PartImageNet's."""
from collections import Counter
from dataclasses import dataclass
from typing import Any

from mmpartref.datasets.coco.coco_document import read_json
from mmpartref.datasets.coco.findings import SplitFindings
from mmpartref.datasets.coco.record_faults import ids_of
from mmpartref.datasets.coco.records import Image, PartName, plain, split_category
from mmpartref.datasets.coco.validate import CocoParts, read_categories, validate
from mmpartref.datasets.partimagenet.partimagenet_names import load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import (
    PARTIMAGENET_NAMES,
    name_partimagenet_category,
    wnid,
)
from mmpartref.datasets.toyparts.make_toyparts import is_toyparts
from mmpartref.doctor.category_names import is_partimagenet, without_alias
from mmpartref.errors import MMPartRefError


@dataclass(frozen=True)
class SplitRecords:
    """The records of a split's json.

    Attributes:
        parts: those that can be used.
        annotated: annotations by category name, usable or not; 0 included.
        file_names: of all images, usable or not.
        annotations: entries of the list, usable or not.
        partimagenet: whether names and images are PartImageNet's.
        toyparts: whether it is ToyParts, whose scenes have objects of two classes but are named after one.
    """
    parts: CocoParts
    annotated: Counter[str]
    file_names: list[str]
    annotations: int
    partimagenet: bool
    toyparts: bool


def read_split(findings: SplitFindings) -> SplitRecords | None:
    """Read and validate a split's json and check its names; None where it cannot be read at all."""
    try:
        document = read_json(str(findings.ann_file))
    except MMPartRefError as error:
        findings.add('unreadable-json', message=str(error))
        return None
    partimagenet, toyparts = looks_like_partimagenet(document), is_toyparts(document)
    parts = CocoParts()
    for finding in validate(document, name_partimagenet_category if partimagenet else split_category, parts=parts):
        findings.add(finding.code, finding.record, finding.message)
    if partimagenet:
        check_categories(parts, findings)
    check_images(parts, document, findings)
    if partimagenet and not toyparts:
        for image in parts.images:
            check_class(image, parts.names, findings)
    rows = [record for record in document['annotations'] if isinstance(record, dict)]
    annotated = Counter(dict.fromkeys((category.name for category in parts.categories.values()), 0))
    annotated.update(parts.categories[record['category_id']].name for record in rows
                     if isinstance(record.get('category_id'), int) and record['category_id'] in parts.categories)
    return SplitRecords(parts, annotated, file_names_of(document), len(document['annotations']), partimagenet,
                        toyparts)


def looks_like_partimagenet(document: dict[str, Any]) -> bool:
    """Return whether categories and file names of a json are PartImageNet's."""
    parts = CocoParts()
    for _ in read_categories(document, name_partimagenet_category, 'part', parts):
        pass
    return is_partimagenet(parts.names.values(), file_names_of(document))


def file_names_of(document: dict[str, Any]) -> list[str]:
    """Return the file names of all images, usable or not, with '/' between folders."""
    names = [record.get('file_name') for record in document['images'] if isinstance(record, dict)]
    return [name.replace('\\', '/') for name in names if isinstance(name, str)]


def check_categories(parts: CocoParts, findings: SplitFindings) -> None:
    """Report categories of PartImageNet that are unknown, missing or named by an alias."""
    known = set(PARTIMAGENET_NAMES.values())
    first = {name: key for key, name in reversed(parts.names.items())}
    for key, category in parts.categories.items():
        if first[parts.names[key]] != key:
            continue  # reported as 'same-meaning'
        if parts.names[key] not in known:
            findings.add('unknown-category', f'category {key}', f'{category.name!r} is not one of the 40')
        elif without_alias(category.name) != category.name:
            findings.add('alias-name', f'category {key}',
                         f"{category.name!r} is read as {' '.join(parts.names[key])!r}")
    for missing in dict.fromkeys(PARTIMAGENET_NAMES.values()):
        if missing not in parts.names.values():
            findings.add('missing-category', '', f"there is no category for {' '.join(missing)!r}")


def check_images(parts: CocoParts, document: dict[str, Any], findings: SplitFindings) -> None:
    """Report images without annotations, and file names that occur twice."""
    annotated = ids_of([{'id': record.get('image_id')} for record in document['annotations']
                        if isinstance(record, dict)])
    first: dict[str, Image] = {}
    for image in parts.images:
        name = f'image {image.img_id}'
        if image.img_id not in annotated:
            findings.add('image-without-parts', name, image.file_name)
        other = first.setdefault(image.file_name, image)
        if other is not image:
            findings.add('duplicate-file-name', name, f'{image.file_name} is the file of image {other.img_id}, too')


def check_class(image: Image, names: dict[int, PartName], findings: SplitFindings) -> None:
    """Report parts of other super-categories than that of the image's ImageNet class, and unknown classes."""
    name, synset = f'image {image.img_id}', load_synsets().get(wnid(image.file_name))
    if synset is None:
        findings.add('unknown-synset', name, image.file_name)
        return
    owners = Counter(names[annotation.category_id].super_category for annotation in image.annotations)
    others = ', '.join(f'{count} {owner}' for owner, count in owners.items()
                       if owner not in (plain(synset.super_category), ''))
    if others:
        findings.add('other-super-category', name, f'{image.file_name} is of the class {synset.class_name} '
                     f'({plain(synset.super_category)}) but has parts of {others}')
