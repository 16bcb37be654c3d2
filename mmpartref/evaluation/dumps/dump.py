"""The dump file: predictions and ground truth, enough to score and compare them without the model and the dataset.

The file is JSON with one image per line::

    {"header": {"format": "mmpartref-dump", "version": 2, "queries_hash": null, "config": ..., "checkpoint": ..., ...},
     "images": [
    {"img_id": 7, "img_path": "...", "ori_shape": [h, w], "expressions": [
        {"ref_id", "expression", "part", "super_category", "ann_ids", "score", "pred": RLE, "truth": [RLE, ...]}, ...]},
    ...]}

Optional keys of an expression: ``"candidates": [{"score", "mask": RLE}, ...]`` (``tools/test.py --candidates``);
``"presence"``, the predicted probability that the part is in the image; ``"absent"``, the kind of absence of a part
that is not in the image (``truth`` is empty then); ``"source"``, the dataset of the expression; ``"level"``,
``"object"`` or ``"subpart"`` where it is not a part; ``"position"``, of its object among several of a kind, e.g.
``"left"``; ``"truncated"``, its last words, which the model did not see. Each ``img_id`` and each ``ref_id`` occurs
once. ``"queries_hash"`` is reserved for a hash of all expressions.

RLEs are COCO's compressed ones with ``counts`` as a string, as ``pycocotools.mask.decode`` reads them.
"""
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmpartref.argument_checks import check_instance, check_path
from mmpartref.errors import InputError, InputTypeError, MissingFileError
from mmpartref.evaluation.dumps.predictions import Candidate, ImagePredictions, Prediction, as_text
from mmpartref.files.atomic_write import atomic_write
from mmpartref.files.json_files import load_json
from mmpartref.images.read_image import MAX_SIDE
from mmpartref.masks.rle import rle_from_rle
from mmpartref.text import shown, shown_name, text_fault

FORMAT, VERSION = 'mmpartref-dump', 2
IMAGE_KEYS = {'img_id': (int, str), 'img_path': str, 'ori_shape': list, 'expressions': list}
EXPRESSION_KEYS = {
    'ref_id': str,
    'expression': str,
    'part': str,
    'super_category': str,
    'ann_ids': list,
    'score': (int, float),
    'pred': dict,
    'truth': list
}
OPTIONAL_KEYS = {'candidates': list, 'absent': str, 'presence': (int, float), 'source': str, 'level': str,
                 'position': str, 'truncated': str}
CANDIDATE_KEYS = {'score': (int, float), 'mask': dict}
HEADER_TYPES = (str, int, float, type(None))
# How to fix every damaged file.
FIX = 'write the dump again with tools/test.py --dump'


@dataclass(frozen=True)
class PredictionDump:
    """The content of a dump file.

    Attributes:
        header: how the masks were made, without the keys ``format`` and ``version`` of the file.
        images: one entry per image, in the order of ``img_id``.
    """
    header: dict[str, Any]
    images: list[ImagePredictions]

    def write(self, path: str | Path) -> None:
        """Write the file atomically.

        Raises:
            InputTypeError: ``path`` is of another type.
            ValueError: the header has other values than strings and numbers, or contains ``format`` or ``version``.
        """
        header = encode_header(self.header)
        with atomic_write(path) as unfinished, unfinished.open('w', encoding='utf-8') as file:
            file.write(f'{{"header": {header},\n"images": [')
            for number, image in enumerate(self.images):
                file.write((',\n' if number else '\n') + json.dumps(image_record(image), allow_nan=False))
            file.write('\n]}\n')


def check_dump(dump: object) -> None:
    """Raise an ``InputTypeError`` where an argument is not a dump, e.g. the path of one."""
    check_instance(dump, 'dump', PredictionDump, 'read one with read_dump')


def image_record(image: ImagePredictions) -> dict[str, Any]:
    """Return an image's record in the file, without optional keys of value None."""
    record = asdict(image)
    for expression in record['expressions']:
        for key in OPTIONAL_KEYS:
            if expression[key] is None:
                del expression[key]
    return record


def encode_header(header: Mapping[str, Any]) -> str:
    """Return the header as one JSON object; ``format``, ``version`` and ``queries_hash`` come first.

    Raises:
        InputTypeError: it is not a dict.
        InputError: it sets ``format`` or ``version``, or a value is not a string or a finite number.
    """
    if not isinstance(header, Mapping):
        raise InputTypeError(f'the header of a dump is {shown(header)}; give a dict of strings and numbers')
    taken = {'format', 'version'} & header.keys()
    if taken:
        raise InputError(f'the header of a dump sets {sorted(taken)}, which the file format sets itself; rename them')
    check_header(header, 'the header of a dump', 'write strings and numbers')
    return json.dumps({'format': FORMAT, 'version': VERSION, 'queries_hash': None, **header})


def check_header(header: Mapping[str, Any], where: str, fix: str = FIX) -> None:
    """Raise an ``InputError`` where a value is not one of ``HEADER_TYPES``, or not finite."""
    for key, value in header.items():
        if not isinstance(key, str):
            raise InputError(f'{where}: the key {shown(key)} is not a string; {fix}')
        if not isinstance(value, HEADER_TYPES) or (isinstance(value, (int, float)) and not is_finite(value)):
            raise InputError(f'{where}: {shown(key)} is {shown(value)}, not a string or a finite number; {fix}')


def unite_images(images: Iterable[ImagePredictions]) -> list[ImagePredictions]:
    """Return one entry per image, whose expressions may be in several (``group_by='expression'``).

    They are sorted by img_id (numbers before strings), then by the first ref_id: the same for any number of processes.

    Raises:
        ValueError: a ref occurs twice, or two entries of an image differ in its path or size.
    """
    united: dict[int | str, ImagePredictions] = {}
    for image in sorted(images, key=lambda image: (isinstance(image.img_id, str), image.img_id,
                                                   image.expressions[0].ref_id if image.expressions else '')):
        first = united.setdefault(image.img_id, replace(image, expressions=[]))
        if (first.img_path, first.ori_shape) != (image.img_path, image.ori_shape):
            raise InputError(f'two images have the id {shown(image.img_id)}, {shown_name(first.img_path)} and '
                             f'{shown_name(image.img_path)}; give each dataset an id_prefix')
        first.expressions.extend(image.expressions)
    found = list(united.values())
    check_ids(found, 'the evaluated dataset', 'evaluate each expression once')
    return found


def check_ids(images: Iterable[ImagePredictions], where: str, fix: str = FIX) -> None:
    """Raise an ``InputError`` where an ``img_id`` or a ``ref_id`` occurs twice, so that it would be scored twice."""
    owners: dict[str, int | str] = {}
    seen: set[int | str] = set()
    for image in images:
        if image.img_id in seen:
            raise InputError(f'{where} contains the image {shown(image.img_id)} twice; {fix}')
        seen.add(image.img_id)
        for each in image.expressions:
            if each.ref_id in owners:
                others = dict.fromkeys(map(shown, (owners[each.ref_id], image.img_id)))
                raise InputError(f'{where} contains the ref {shown(each.ref_id)} twice, in image '
                                 f'{" and ".join(others)}; {fix}')
            owners[each.ref_id] = image.img_id


def read_dump(path: str | Path) -> PredictionDump:
    """Read and validate a dump.

    Raises:
        InputTypeError: ``path`` is of another type.
        FileNotFoundError: the file does not exist.
        ValueError: it is not a dump of this version, an image or a ref occurs twice, or a record is damaged; the
            message names the record.
    """
    path = check_path(path, 'the dump')
    name = shown_name(path)
    try:
        content = load_json(path, f'dump {name}', hint=FIX)
    except FileNotFoundError:
        raise MissingFileError(f'there is no dump {name}; tools/test.py writes one with --dump') from None
    header = content.get('header') if isinstance(content, dict) else None
    if not isinstance(header, dict) or header.get('format') != FORMAT:
        raise InputError(f"{name} is not a dump of predictions: its header has no format '{FORMAT}'; write one with "
                         'tools/test.py --dump')
    version = header.get('version')
    if type(version) is not int or version != VERSION:
        raise InputError(f'{name} is a dump of version {shown(version)} but only version {VERSION} can be read; make a '
                         'new one by testing the model again with tools/test.py --dump')
    if content.keys() != {'header', 'images'} or not isinstance(content['images'], list):
        raise InputError(f"{name} should have the header and a list 'images', and nothing else; {FIX}")
    check_header(header, f'{name}: header')
    images = [_read_image(record, f'{name}: image number {number}') for number, record in enumerate(content['images'])]
    check_ids(images, name)
    hidden = {'format': FORMAT, 'version': VERSION, 'queries_hash': None}
    own = {key: value for key, value in header.items() if key not in hidden or value != hidden[key]}
    return PredictionDump(own, unite_images(images))


def is_finite(number: float) -> bool:
    """Return whether a number of a json is finite as a float; an integer can be too large for one."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _check_record(record: object, keys: Mapping[str, Any], where: str) -> dict:
    """Return a record that has exactly ``keys``, each value of its type."""
    if not isinstance(record, dict):
        raise InputError(f'{where} is a {type(record).__name__}, not an object; {FIX}')
    if record.keys() != keys.keys():
        missing, unknown = (', '.join(map(shown_name, sorted(each))) or 'none'
                            for each in (keys.keys() - record.keys(), record.keys() - keys.keys()))
        raise InputError(f'{where} has wrong keys (missing: {missing}; unknown: {unknown}); {FIX}')
    for key, kind in keys.items():
        value = record[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f'{where}: {key} is {shown(value)}, which has the wrong type; {FIX}')
        if isinstance(value, str) and (fault := text_fault(value)):
            raise InputError(f'{where}: {key} {fault}')
    return record


def _read_image(record: object, where: str) -> ImagePredictions:
    image = _check_record(record, IMAGE_KEYS, where)
    where = f"{where} (img_id {shown_name(str(image['img_id']))})"
    shape = image['ori_shape']
    if len(shape) != 2 or not all(type(side) is int and 0 < side <= MAX_SIDE for side in shape):
        raise InputError(f'{where}: ori_shape is {shown(shape)}, not [height, width] in pixels; {FIX}')
    expressions = [_read_expression(each, shape, f'{where}, expression number {number}')
                   for number, each in enumerate(image['expressions'])]
    return ImagePredictions(image['img_id'], image['img_path'], (shape[0], shape[1]), expressions)


def _read_expression(record: object, shape: list[int], where: str) -> Prediction:
    optional = {key: kind for key, kind in OPTIONAL_KEYS.items() if isinstance(record, dict) and key in record}
    fields = _check_record(record, {**EXPRESSION_KEYS, **optional}, where)
    where = f"{where} (ref_id {shown_name(fields['ref_id'])})"
    if not all(type(ann_id) is int for ann_id in fields['ann_ids']):
        raise InputError(f"{where}: ann_ids is {shown(fields['ann_ids'])}, not a list of integers; {FIX}")
    if len(fields['ann_ids']) != len(fields['truth']):
        raise InputError(f"{where} has {len(fields['ann_ids'])} ann_ids but {len(fields['truth'])} masks in truth; "
                         f'{FIX}')
    if not is_finite(fields['score']):
        raise InputError(f"{where}: score is {shown(fields['score'])}, not a finite number; {FIX}")
    if not 0 <= fields.get('presence', 0) <= 1:
        raise InputError(f"{where}: presence is {shown(fields['presence'])}, not a number from 0 to 1; {FIX}")
    if 'absent' in fields and fields['truth']:
        raise InputError(f"{where} is absent but has {len(fields['truth'])} masks in truth; {FIX}")
    rles = [fields['pred'], *fields['truth']]
    if not all(isinstance(rle, dict) for rle in rles):
        raise InputError(f'{where}: a mask in truth is not an RLE with size and counts; {FIX}')
    try:
        pred, *truth = [as_text(rle_from_rle(rle, *shape)) for rle in rles]
    except ValueError as error:
        raise InputError(f'{where}: {error}') from None
    candidates = None
    if 'candidates' in fields:
        candidates = [_read_candidate(each, shape, f'{where}, candidate number {number}')
                      for number, each in enumerate(fields['candidates'])]
    return Prediction(**{**fields, 'pred': pred, 'truth': truth, 'candidates': candidates})


def _read_candidate(record: object, shape: list[int], where: str) -> Candidate:
    fields = _check_record(record, CANDIDATE_KEYS, where)
    if not is_finite(fields['score']):
        raise InputError(f"{where}: score is {shown(fields['score'])}, not a finite number; {FIX}")
    try:
        return Candidate(float(fields['score']), as_text(rle_from_rle(fields['mask'], *shape)))
    except ValueError as error:
        raise InputError(f'{where}: {error}') from None
