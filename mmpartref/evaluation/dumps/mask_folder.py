"""Masks of queries as image files in a folder, named by a pattern."""
import re
from pathlib import Path
from string import Formatter

import numpy as np

from mmpartref.argument_checks import check_text
from mmpartref.datasets.converters.mask_document import MAX_NAME_BYTES, image_size, read_grey
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.prediction_matches import Matches
from mmpartref.evaluation.dumps.predictions import Candidate, ImagePredictions, Prediction
from mmpartref.evaluation.dumps.query_index import QueryIndex
from mmpartref.masks.iou import encode_masks
from mmpartref.progress import track
from mmpartref.text import shown, shown_name

PATTERN = '{img_id}/{ref_id}.png'


def match_folder(folder: Path, index: QueryIndex, pattern: str) -> Matches:
    """Match the PNG masks of a folder with queries.

    Raises:
        InputError: the pattern cannot be used, two queries have the same file, or a file is not a mask of its image's
            size.
    """
    matches = Matches(has_scores=False)
    owners: dict[Path, str] = {}
    for image in track(index.images.values(), 'images', total=len(index.images), min_items=500):
        for each in image.expressions:
            path = folder / file_name(pattern, image, each)
            if path in owners:
                raise InputError(f'the pattern {shown(pattern)} gives {shown_name(str(path))} for '
                                 f'{shown_name(owners[path])} and {shown_name(each.ref_id)}; add a field, e.g. '
                                 '{ref_id}')
            owners[path] = each.ref_id
            if path.is_file():
                matches.add([each], Candidate(1.0, read_mask(path, image.ori_shape)), str(path))
    matches.extra = sorted(str(path) for path in folder.rglob('*') if path.is_file() and path not in owners)
    return matches


def file_name(pattern: str, image: ImagePredictions, query: Prediction) -> str:
    """Return the path of a query's file below the folder.

    Args:
        pattern: with the fields ``{img_id}``, ``{image}`` (path without suffix), ``{ref_id}``, ``{expression}``,
            ``{part}`` and ``{super_category}``; in a field every character but letters, digits, '.', '-' and '_' (and
            '/' in ``{image}``) is '_' in the file's name.
        image: of the query.
        query: to name.

    Raises:
        InputError: the pattern has other fields, or gives a path that is not below the folder or too long.
    """
    fields = {'img_id': str(image.img_id), 'ref_id': query.ref_id, 'expression': query.expression, 'part': query.part,
              'super_category': query.super_category}
    plain = {key: re.sub(r'[^\w.-]', '_', value, flags=re.ASCII) for key, value in fields.items()}
    plain['image'] = re.sub(r'[^\w./-]', '_', image.img_path.rpartition('.')[0] or image.img_path, flags=re.ASCII)
    try:
        pieces = list(Formatter().parse(check_text(pattern, 'pattern', blank=False)))
    except ValueError:
        pieces = [('', '', '', None)]
    if any(name is not None and (name not in plain or spec or conversion) for _, name, spec, conversion in pieces):
        raise InputError(f'the pattern {shown(pattern)} cannot be used; its fields are '
                         f'{", ".join(map("{{{}}}".format, sorted(plain)))}, and nothing else is in braces')
    name = pattern.format(**plain)
    if name.startswith('/') or '..' in Path(name).parts:
        raise InputError(f'the pattern {shown(pattern)} gives {shown_name(name)} for {shown_name(query.ref_id)}, which '
                         'is not below the folder; change it')
    if any(len(part.encode()) > MAX_NAME_BYTES for part in Path(name).parts):
        raise InputError(f'the pattern {shown(pattern)} gives a name of more than {MAX_NAME_BYTES} bytes for '
                         f'{shown_name(query.ref_id)}; use {{ref_id}} instead of {{expression}}')
    return name


def read_mask(path: Path, size: tuple[int, int]) -> dict:
    """Return a mask of an image file as a compressed RLE.

    Raises:
        InputError: it is damaged, has colours or other values than 0 and 255 or 0 and 1, or another size than (h, w).
    """
    name = shown_name(str(path))
    found = image_size(path)
    if found != size:
        raise InputError(f'{name} is {found[0]} x {found[1]} pixels (height x width) but its image {size[0]} x '
                         f"{size[1]}; write masks at the image's own size")
    values = read_grey(path, indices=True)
    known = set(np.unique(values).tolist())
    if not known <= {0, 255} and not known <= {0, 1}:
        raise InputError(f'{name} has the value {max(known - {0, 1, 255}, default=1)}; masks have 0 and 255, or 0 '
                         'and 1')
    return encode_masks(values[None] > 0)[0]
