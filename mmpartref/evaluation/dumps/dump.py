"""Predictions in a file: enough to score them again, look at them or compare them, without the model or the data set.

The file is JSON with one photo per line::

    {"header": {"format": "mmpartref-dump", "version": 1, "config": ..., "checkpoint": ..., "decode": ..., ...},
     "photos": [
    {"img_id": 7, "img_path": "...", "ori_shape": [h, w], "expressions": [
        {"ref_id", "expression", "part", "super_category", "ann_ids", "score", "pred": RLE, "truth": [RLE, ...]}, ...]},
    ...]}

An expression may also have ``"candidates": [{"score", "mask": RLE}, ...]`` (``tools/test.py --dump FILE
--candidates``), ``"presence"``, the model's word from 0 to 1 on whether the part is there, and, where it is not,
``"absent"``, the kind of its absence, and no truth; ``"source"``, the data set that it comes from; and ``"level"``,
``"object"`` or ``"subpart"`` where it names no part.

RLEs are COCO's compressed ones, ``counts`` as a string; ``pycocotools.mask.decode`` takes them as they are.
"""
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmpartref.errors import InputError, MissingFileError
from mmpartref.evaluation.dumps.predictions import Candidate, PhotoPredictions, Prediction, as_text
from mmpartref.files.atomic_write import atomic_write
from mmpartref.files.plain_file import MAX_JSON_BYTES, read_plain_file
from mmpartref.masks.rle import rle_from_rle

FORMAT, VERSION = 'mmpartref-dump', 1
PHOTO_KEYS = {'img_id': (int, str), 'img_path': str, 'ori_shape': list, 'expressions': list}
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
OPTIONAL_KEYS = {'candidates': list, 'absent': str, 'presence': (int, float), 'source': str, 'level': str}
CANDIDATE_KEYS = {'score': (int, float), 'mask': dict}
# How every damaged record is mended.
AGAIN = 'write the dump again with tools/test.py --dump'


@dataclass(frozen=True)
class PredictionDump:
    """A header and the photos, in the order of ``img_id``.

    Attributes:
        header: whatever says how the masks were made; ``format`` and ``version`` are the file's own and not in here.
        photos: one entry per data sample.
    """
    header: dict[str, Any]
    photos: list[PhotoPredictions]

    def write(self, path: str | Path) -> None:
        """Write the file whole or not at all.

        Raises:
            ValueError: the header cannot be written as JSON, or uses a name of the file's own.
        """
        header = encode_header(self.header)
        with atomic_write(path) as unfinished, unfinished.open('w', encoding='utf-8') as file:
            file.write(f'{{"header": {header},\n"photos": [')
            for number, photo in enumerate(self.photos):
                file.write((',\n' if number else '\n') + json.dumps(as_record(photo), allow_nan=False))
            file.write('\n]}\n')


def as_record(photo: PhotoPredictions) -> dict[str, Any]:
    """Return a photo as the file has it, without what it may have and has not."""
    record = asdict(photo)
    for expression in record['expressions']:
        for key in OPTIONAL_KEYS:
            if expression[key] is None:
                del expression[key]
    return record


def encode_header(header: Mapping[str, Any]) -> str:
    """Return the header as JSON, format and version in front.

    Raises:
        ValueError: see ``PredictionDump.write``.
    """
    taken = {'format', 'version'} & header.keys()
    if taken:
        raise InputError(f'the header of a dump sets {sorted(taken)}, which the file format sets itself; rename them')
    try:
        return json.dumps({'format': FORMAT, 'version': VERSION, **header}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f'the header of a dump cannot be written as JSON ({error}); use strings and numbers') from None


def in_order(photos: list[PhotoPredictions]) -> list[PhotoPredictions]:
    """Sort by img_id (numbers before strings), then by the first ref_id: the same for any number of processes."""
    return sorted(photos, key=lambda photo: (isinstance(photo.img_id, str), photo.img_id,
                                             photo.expressions[0].ref_id if photo.expressions else ''))


def read_dump(path: str | Path) -> PredictionDump:
    """Read and check a dump.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no dump of this version, or a record is damaged; names the record.
    """
    try:
        content = json.loads(read_plain_file(path, f'dump {path}', MAX_JSON_BYTES).decode('utf-8'))
    except FileNotFoundError:
        raise MissingFileError(f'there is no dump {path}; tools/test.py writes one with --dump') from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f'{path} is not complete JSON ({error}); {AGAIN}') from None
    header = content.get('header') if isinstance(content, dict) else None
    if not isinstance(header, dict) or header.get('format') != FORMAT:
        raise InputError(f"{path} is not a dump of predictions: its header does not say '{FORMAT}'; write one with "
                         'tools/test.py --dump')
    if header.get('version') != VERSION:
        raise InputError(f"{path} is a dump of version {header.get('version')!r}, this program reads {VERSION}; "
                         'write it again')
    if not isinstance(content.get('photos'), list):
        raise InputError(f"{path} has no list 'photos'; {AGAIN}")
    photos = [read_photo(record, f'{path}: photo number {number}') for number, record in enumerate(content['photos'])]
    own = {key: value for key, value in header.items() if key not in ('format', 'version')}
    return PredictionDump(own, in_order(photos))


def check_record(record: object, keys: Mapping[str, Any], where: str) -> dict:
    """Return a record that has exactly ``keys``, each of its type."""
    if not isinstance(record, dict):
        raise InputError(f'{where} is a {type(record).__name__}, not an object; {AGAIN}')
    if record.keys() != keys.keys():
        wrong = ', '.join(sorted(record.keys() ^ keys.keys()))
        raise InputError(f"{where} lacks, or has but should not, {wrong}; {AGAIN}")
    for key, kind in keys.items():
        if not isinstance(record[key], kind) or isinstance(record[key], bool):
            raise InputError(f'{where}: {key} is {record[key]!r}, which is of the wrong type; {AGAIN}')
    return record


def read_photo(record: object, where: str) -> PhotoPredictions:
    """Check one photo."""
    photo = check_record(record, PHOTO_KEYS, where)
    where = f"{where} (img_id {photo['img_id']})"
    shape = photo['ori_shape']
    if len(shape) != 2 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise InputError(f'{where}: ori_shape is {shape}, not [height, width] in pixels; {AGAIN}')
    expressions = [
        read_expression(each, shape, f'{where}, expression number {number}')
        for number, each in enumerate(photo['expressions'])
    ]
    return PhotoPredictions(photo['img_id'], photo['img_path'], (shape[0], shape[1]), expressions)


def read_expression(record: object, shape: list[int], where: str) -> Prediction:
    """Check one expression of a photo of ``shape`` (h, w)."""
    optional = {key: kind for key, kind in OPTIONAL_KEYS.items() if isinstance(record, dict) and key in record}
    fields = check_record(record, {**EXPRESSION_KEYS, **optional}, where)
    where = f"{where} (ref_id {fields['ref_id']})"
    if len(fields['ann_ids']) != len(fields['truth']):
        raise InputError(f"{where} has {len(fields['ann_ids'])} ann_ids but {len(fields['truth'])} masks in truth; "
                         f'{AGAIN}')
    if not math.isfinite(fields['score']):
        raise InputError(f"{where}: score is {fields['score']}, not a finite number; {AGAIN}")
    if not 0 <= fields.get('presence', 0) <= 1:
        raise InputError(f"{where}: presence is {fields['presence']}, not a number from 0 to 1; {AGAIN}")
    if 'absent' in fields and fields['truth']:
        raise InputError(f"{where} is absent but has {len(fields['truth'])} masks in truth; {AGAIN}")
    rles = [fields['pred'], *fields['truth']]
    if not all(isinstance(rle, dict) for rle in rles):
        raise InputError(f'{where}: a mask in truth is not an RLE with size and counts; {AGAIN}')
    try:
        pred, *truth = [as_text(rle_from_rle(rle, *shape)) for rle in rles]
    except ValueError as error:
        raise InputError(f'{where}: {error}') from None
    candidates = None
    if 'candidates' in fields:
        candidates = [read_candidate(each, shape, f'{where}, candidate number {number}')
                      for number, each in enumerate(fields['candidates'])]
    return Prediction(**{**fields, 'pred': pred, 'truth': truth, 'candidates': candidates})


def read_candidate(record: object, shape: list[int], where: str) -> Candidate:
    """Check one candidate."""
    fields = check_record(record, CANDIDATE_KEYS, where)
    if not math.isfinite(fields['score']):
        raise InputError(f"{where}: score is {fields['score']}, not a finite number; {AGAIN}")
    try:
        return Candidate(float(fields['score']), as_text(rle_from_rle(fields['mask'], *shape)))
    except ValueError as error:
        raise InputError(f'{where}: {error}') from None
