"""The dump file: predictions and ground truth, enough to score and compare them without the model and the dataset.

The file is JSON with one image per line::

    {"header": {"format": "mmpartref-dump", "version": 2, "queries_hash": "9f…", "config": ..., "checkpoint": ..., ...},
     "images": [
    {"img_id": 7, "img_path": "...", "ori_shape": [h, w], "expressions": [
        {"ref_id", "expression", "part", "super_category", "ann_ids", "score", "pred": RLE, "truth": [RLE, ...]}, ...]},
    ...]}

Optional keys of an expression: ``"candidates": [{"score", "mask": RLE}, ...]`` (``tools/test.py --candidates``);
``"presence"``, the predicted probability that the part is in the image; ``"absent"``, the kind of absence of a part
that is not in the image (``truth`` is empty then); ``"source"``, the dataset of the expression; ``"level"``,
``"object"`` or ``"subpart"`` where it is not a part; ``"position"``, of its object among several of a kind, e.g.
``"left"``; ``"truncated"``, its last words, which the model did not see. Each ``img_id`` and each ``ref_id`` occurs
once. ``"queries_hash"`` is the hash of all expressions (``queries.queries_hash``), null in dumps of earlier versions of
mmpartref.

RLEs are COCO's compressed ones with ``counts`` as a string, as ``pycocotools.mask.decode`` reads them.
"""
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmpartref.argument_checks import check_instance
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.document import DocumentKind, check_record, is_finite
from mmpartref.evaluation.dumps.predictions import Candidate, ImagePredictions, Prediction, as_text
from mmpartref.evaluation.dumps.queries import queries_hash
from mmpartref.images.read_image import MAX_SIDE
from mmpartref.masks.rle import rle_from_rle
from mmpartref.text import shown, shown_name

DUMP = DocumentKind('dump', 'mmpartref-dump', 2, 'images', 'tools/test.py --dump')
FIX = DUMP.fix
# Key of the header.
HASH = 'queries_hash'
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


@dataclass(frozen=True)
class PredictionDump:
    """The content of a dump file.

    Attributes:
        header: how the masks were made, without ``format``, ``version`` and ``queries_hash`` of the file.
        images: one entry per image, in the order of ``img_id``.
    """
    header: dict[str, Any]
    images: list[ImagePredictions]

    @property
    def queries_hash(self) -> str:
        """Hash of all expressions, see ``queries.queries_hash``."""
        return queries_hash((image.img_id, each.ref_id, each.expression)
                            for image in self.images for each in image.expressions)

    def queries(self) -> dict[str, tuple[int | str, str]]:
        """Return (img_id, expression) by ref_id."""
        return {each.ref_id: (image.img_id, each.expression) for image in self.images for each in image.expressions}

    def write(self, path: str | Path) -> None:
        """Write the file atomically.

        Raises:
            InputTypeError: ``path`` is of another type.
            ValueError: the header has other values than strings and numbers, or a key that the file sets itself.
        """
        check_header(self.header)
        DUMP.write(path, {HASH: self.queries_hash, **self.header}, map(image_record, self.images))


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


def check_header(header: Mapping[str, Any]) -> None:
    """Check that a header can be written.

    Raises:
        InputTypeError: it is not a dict.
        InputError: it sets a key that the file sets itself, or a value is not a string or a finite number.
    """
    DUMP.encode_header(header)
    if HASH in header:
        raise InputError(f"the header of a dump sets {HASH!r}, which the file format sets itself; rename it")


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
    header, records = DUMP.read(path)
    name = shown_name(str(path))
    images = [_read_image(record, f'{name}: image number {number}') for number, record in enumerate(records)]
    check_ids(images, name)
    expected = header.pop(HASH, None)
    dump = PredictionDump(header, unite_images(images))
    if expected is not None and expected != dump.queries_hash:
        raise InputError(f'{name}: its {HASH} is {shown(expected)} but that of its expressions {dump.queries_hash}; '
                         f'they were changed after it was written: {FIX}')
    return dump


def _read_image(record: object, where: str) -> ImagePredictions:
    image = check_record(record, IMAGE_KEYS, where, FIX)
    where = f"{where} (img_id {shown_name(str(image['img_id']))})"
    shape = image['ori_shape']
    if len(shape) != 2 or not all(type(side) is int and 0 < side <= MAX_SIDE for side in shape):
        raise InputError(f'{where}: ori_shape is {shown(shape)}, not [height, width] in pixels; {FIX}')
    expressions = [_read_expression(each, shape, f'{where}, expression number {number}')
                   for number, each in enumerate(image['expressions'])]
    return ImagePredictions(image['img_id'], image['img_path'], (shape[0], shape[1]), expressions)


def _read_expression(record: object, shape: list[int], where: str) -> Prediction:
    optional = {key: kind for key, kind in OPTIONAL_KEYS.items() if isinstance(record, dict) and key in record}
    fields = check_record(record, {**EXPRESSION_KEYS, **optional}, where, FIX)
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
    fields = check_record(record, CANDIDATE_KEYS, where, FIX)
    if not is_finite(fields['score']):
        raise InputError(f"{where}: score is {shown(fields['score'])}, not a finite number; {FIX}")
    try:
        return Candidate(float(fields['score']), as_text(rle_from_rle(fields['mask'], *shape)))
    except ValueError as error:
        raise InputError(f'{where}: {error}') from None
