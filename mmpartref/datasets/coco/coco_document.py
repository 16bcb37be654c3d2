"""Parse a COCO json and check that it has the three COCO lists."""
from mmpartref.argument_checks import check_path
from mmpartref.errors import InputError, MissingFileError
from mmpartref.files.json_files import parse_json
from mmpartref.files.plain_file import MAX_JSON_BYTES, read_any_file

SECTIONS = ('images', 'annotations', 'categories')


def read_json(ann_file: str) -> dict:
    """Read a COCO json.

    Raises:
        InputTypeError: ``ann_file`` is of another type.
        MissingFileError: the file does not exist.
        InputError: it is not a complete json, has a key twice in one record, or lacks one of the three COCO lists.
    """
    ann_file = check_path(ann_file, 'ann_file')
    if not ann_file:
        raise InputError('ann_file is not given; name the COCO json, relative to data_root')
    try:
        content = read_any_file(ann_file, f'ann_file {ann_file}', MAX_JSON_BYTES)
    except FileNotFoundError:
        raise MissingFileError(f'ann_file {ann_file} does not exist; set data_root and ann_file to where the COCO '
                               'json is') from None
    document = parse_json(content, ann_file)
    if fault := section_fault(document):
        raise InputError(f'{ann_file} {fault}')
    return document


def section_fault(document: object) -> str:
    """Return why a parsed json is not a COCO json, or ''."""
    if not isinstance(document, dict):
        return (f'holds a {type(document).__name__}, not an object with the lists {", ".join(SECTIONS)}; use a COCO '
                'json')
    for section in SECTIONS:
        if not isinstance(document.get(section), list):
            return f"has no list '{section}'; use a COCO json with {', '.join(SECTIONS)}"
    return ''
