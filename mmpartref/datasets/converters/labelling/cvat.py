"""CVAT's export "COCO 1.0", or any COCO json whose category names are labels."""
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmpartref.argument_checks import check_path
from mmpartref.datasets.converters.labelling.label_document import SEPARATOR, LabelNames
from mmpartref.datasets.converters.standard_json import Document, count_line, field, read_sections
from mmpartref.errors import InputError
from mmpartref.text import has_words, shown_name

SOURCE = 'CVAT'


def convert_cvat(ann_file: str | Path, objects: Sequence[str] = (),
                 separator: str = SEPARATOR) -> tuple[dict[str, Document], list[str]]:
    """Return the json by the file's name, and lines with counts.

    Categories get object and part in words, and are united where two labels mean the same. Annotations without a mask
    (boxes) are dropped. CVAT marks masks that were painted as crowds; they are instances here.

    Args:
        ann_file: ``instances_default.json`` and the like.
        objects, separator: see ``LabelNames``.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not a COCO json, or has no mask.
    """
    path = check_path(ann_file, 'ann_file')
    images, annotations, categories = read_sections(path)
    name, names = shown_name(path), LabelNames(objects, separator)
    meanings: dict[tuple[str, str], int] = {}
    new_ids: dict[int, int] = {}
    for key, record in categories.items():
        label = field(record, 'name', str, f'{name}: category {key}')
        if not has_words(label):
            raise InputError(f'{name}: category {key} has no name; give it one')
        new_ids[key] = meanings.setdefault(names.split(label), len(meanings))
    dropped: Counter[str] = Counter()
    written, painted = [], 0
    for record in annotations.values():
        if record.get('segmentation') in (None, []):
            dropped['boxes'] += 1
            continue
        painted += bool(record.get('iscrowd'))
        written.append({**record, 'category_id': new_ids[record['category_id']], 'iscrowd': 0})
    if not written:
        raise InputError(f'{name} has no annotation with a mask; export polygons or masks')
    used = {record['image_id'] for record in written}
    return {Path(path).stem: {
        'info': {'source': SOURCE}, 'images': list(images.values()), 'annotations': written,
        'categories': [{'id': number, 'name': ' '.join(filter(None, category)), 'supercategory': category[0],
                        'part': category[1]} for category, number in meanings.items()]}}, [
        f'{len(images):,} images, {len(used):,} of them with parts',
        count_line('annotations', len(annotations), len(written), dropped) + f'; {painted:,} were painted',
        f'{len(categories):,} labels, {len(meanings):,} parts']
