"""Read a COCO json of parts."""
from collections.abc import Callable, Iterable

from mmpartref.datasets.coco.coco_document import read_json
from mmpartref.datasets.coco.finding_codes import ERROR
from mmpartref.datasets.coco.findings import Finding
from mmpartref.datasets.coco.records import Category, PartName, split_category
from mmpartref.datasets.coco.validate import CocoParts, read_categories, validate
from mmpartref.errors import InputError

NameCategory = Callable[[Category], PartName]


def raise_first_error(findings: Iterable[Finding], ann_file: str) -> None:
    """Consume findings.

    Raises:
        InputError: one of them is an error; file, record, what is wrong and how to fix it in one sentence.
    """
    for finding in findings:
        if finding.severity == ERROR:
            raise InputError(': '.join(text for text in (ann_file, finding.record, finding.message) if text))


def read_coco(ann_file: str, name_category: NameCategory = split_category, level: str = 'part') -> CocoParts:
    """Read a json, masks as compressed RLE; what is dropped is counted in ``CocoParts.statistics``.

    Args:
        ann_file: path of the json.
        name_category, level: as for ``validate``.

    Raises:
        MissingFileError: the file does not exist.
        InputError: the file is not a COCO json, or ``validate`` finds an error.
    """
    parts = CocoParts(ann_file=ann_file)
    raise_first_error(validate(read_json(ann_file), name_category, level, parts, consume=True), ann_file)
    return parts


def read_names(ann_file: str, name_category: NameCategory = split_category, level: str = 'part') -> CocoParts:
    """Read the categories of a json and their meanings, and nothing else; arguments and errors as ``read_coco``."""
    parts = CocoParts(ann_file=ann_file)
    raise_first_error(read_categories(read_json(ann_file), name_category, level, parts), ann_file)
    return parts
