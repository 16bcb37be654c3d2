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
``"left"``. ``"queries_hash"`` is reserved for a hash of all expressions.

RLEs are COCO's compressed ones with ``counts`` as a string, as ``pycocotools.mask.decode`` reads them.
"""
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmpartref.errors import InputError, MissingFileError
from mmpartref.evaluation.dumps.predictions import Candidate, ImagePredictions, Prediction, as_text
from mmpartref.files.atomic_write import atomic_write
from mmpartref.files.json_files import load_json
from mmpartref.masks.rle import rle_from_rle

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
                 'position': str}
CANDIDATE_KEYS = {'score': (int, float), 'mask': dict}
# How to fix every damaged file.
FIX = 'write the dump again with tools/test.py --dump'


@dataclass(frozen=True)
class PredictionDump:
    """The content of a dump file.

    Attributes:
        header: how the masks were made, without the keys ``format`` and ``version`` of the file.
        images: one entry per data sample, in the order of ``img_id``.
    """
    header: dict[str, Any]
    images: list[ImagePredictions]

    def write(self, path: str | Path) -> None:
        """Write the file atomically.

        Raises:
            ValueError: the header cannot be written as JSON, or contains ``format`` or ``version``.
        """
        header = encode_header(self.header)
        with atomic_write(path) as unfinished, unfinished.open('w', encoding='utf-8') as file:
            file.write(f'{{"header": {header},\n"images": [')
            for number, image in enumerate(self.images):
                file.write((',\n' if number else '\n') + json.dumps(image_record(image), allow_nan=False))
            file.write('\n]}\n')


def image_record(image: ImagePredictions) -> dict[str, Any]:
    """Return an image's record in the file, without optional keys of value None."""
    record = asdict(image)
    for expression in record['expressions']:
        for key in OPTIONAL_KEYS:
            if expression[key] is None:
                del expression[key]
    return record


def encode_header(header: Mapping[str, Any]) -> str:
    """Return the header as JSON, starting with the file's own keys.

    Raises:
        ValueError: see ``PredictionDump.write``.
    """
    taken = {'format', 'version'} & header.keys()
    if taken:
        raise InputError(f'the header of a dump sets {sorted(taken)}, which the file format sets itself; rename them')
    try:
        return json.dumps({'format': FORMAT, 'version': VERSION, 'queries_hash': None, **header}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f'the header of a dump cannot be written as JSON ({error}); use strings and numbers') from None


def sort_images(images: list[ImagePredictions]) -> list[ImagePredictions]:
    """Sort by img_id (numbers before strings), then by the first ref_id: the same for any number of processes."""
    return sorted(images, key=lambda image: (isinstance(image.img_id, str), image.img_id,
                                             image.expressions[0].ref_id if image.expressions else ''))


def read_dump(path: str | Path) -> PredictionDump:
    """Read and validate a dump.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is not a dump of this version, or a record is damaged; the message names the record.
    """
    try:
        content = load_json(path, f'dump {path}', hint=FIX, unique_keys=False)
    except FileNotFoundError:
        raise MissingFileError(f'there is no dump {path}; tools/test.py writes one with --dump') from None
    header = content.get('header') if isinstance(content, dict) else None
    if not isinstance(header, dict) or header.get('format') != FORMAT:
        raise InputError(f"{path} is not a dump of predictions: its header has no format '{FORMAT}'; write one with "
                         'tools/test.py --dump')
    if header.get('version') != VERSION:
        raise InputError(f"{path} is a dump of version {header.get('version')!r} but only version {VERSION} can be "
                         'read; make a new one by testing the model again with tools/test.py --dump')
    if not isinstance(content.get('images'), list):
        raise InputError(f"{path} has no list 'images'; {FIX}")
    images = [_read_image(record, f'{path}: image number {number}') for number, record in enumerate(content['images'])]
    hidden = {'format': FORMAT, 'version': VERSION, 'queries_hash': None}
    own = {key: value for key, value in header.items() if key not in hidden or value != hidden[key]}
    return PredictionDump(own, sort_images(images))


def _check_record(record: object, keys: Mapping[str, Any], where: str) -> dict:
    """Return a record that has exactly ``keys``, each value of its type."""
    if not isinstance(record, dict):
        raise InputError(f'{where} is a {type(record).__name__}, not an object; {FIX}')
    if record.keys() != keys.keys():
        missing, unknown = (', '.join(sorted(each)) or 'none'
                            for each in (keys.keys() - record.keys(), record.keys() - keys.keys()))
        raise InputError(f'{where} has wrong keys (missing: {missing}; unknown: {unknown}); {FIX}')
    for key, kind in keys.items():
        if not isinstance(record[key], kind) or isinstance(record[key], bool):
            raise InputError(f'{where}: {key} is {record[key]!r}, which has the wrong type; {FIX}')
    return record


def _read_image(record: object, where: str) -> ImagePredictions:
    image = _check_record(record, IMAGE_KEYS, where)
    where = f"{where} (img_id {image['img_id']})"
    shape = image['ori_shape']
    if len(shape) != 2 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise InputError(f'{where}: ori_shape is {shape}, not [height, width] in pixels; {FIX}')
    expressions = [_read_expression(each, shape, f'{where}, expression number {number}')
                   for number, each in enumerate(image['expressions'])]
    return ImagePredictions(image['img_id'], image['img_path'], (shape[0], shape[1]), expressions)


def _read_expression(record: object, shape: list[int], where: str) -> Prediction:
    optional = {key: kind for key, kind in OPTIONAL_KEYS.items() if isinstance(record, dict) and key in record}
    fields = _check_record(record, {**EXPRESSION_KEYS, **optional}, where)
    where = f"{where} (ref_id {fields['ref_id']})"
    if len(fields['ann_ids']) != len(fields['truth']):
        raise InputError(f"{where} has {len(fields['ann_ids'])} ann_ids but {len(fields['truth'])} masks in truth; "
                         f'{FIX}')
    if not math.isfinite(fields['score']):
        raise InputError(f"{where}: score is {fields['score']}, not a finite number; {FIX}")
    if not 0 <= fields.get('presence', 0) <= 1:
        raise InputError(f"{where}: presence is {fields['presence']}, not a number from 0 to 1; {FIX}")
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
    if not math.isfinite(fields['score']):
        raise InputError(f"{where}: score is {fields['score']}, not a finite number; {FIX}")
    try:
        return Candidate(float(fields['score']), as_text(rle_from_rle(fields['mask'], *shape)))
    except ValueError as error:
        raise InputError(f'{where}: {error}') from None
