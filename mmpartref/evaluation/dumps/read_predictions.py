"""Masks that any other program predicted, as a dump.

Three forms::

    COCO results (.json)   [{"image_id", "category_id" or "ref_id", "segmentation": RLE or polygons, "score"}, ...]
    lines (.jsonl)         {"image": id or file name, "expression" or "ref_id", "mask": RLE or polygons, "score"}
    a folder               one PNG of 0 and 255 (or 0 and 1) per query, named by a pattern

A category's masks count for every expression of that category on the image.
"""
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np

from mmpartref.argument_checks import check_choice, check_number, check_path, check_text
from mmpartref.datasets.converters.mask_document import MAX_NAME_BYTES, image_size, read_grey
from mmpartref.errors import InputError, MissingFileError
from mmpartref.evaluation.dumps.document import is_finite
from mmpartref.evaluation.dumps.dump import PredictionDump, unite_images
from mmpartref.evaluation.dumps.predictions import Candidate, ImagePredictions, Prediction, as_text
from mmpartref.evaluation.dumps.query_index import QueryIndex
from mmpartref.files.json_files import load_json, parse_json
from mmpartref.files.plain_file import MAX_JSON_BYTES, read_plain_file
from mmpartref.masks.iou import encode_masks
from mmpartref.masks.rle import empty, rle_from_segmentation, union
from mmpartref.progress import track
from mmpartref.text import shown, shown_name, text_fault

# How several masks of one expression become one, see ``unite``.
RULES = ('union', 'top1')
PATTERN = '{img_id}/{ref_id}.png'
# Names in a message.
MAX_EXAMPLES = 5
COCO_KEYS = ('image_id', 'category_id', 'ref_id', 'segmentation', 'score')
LINE_KEYS = ('image', 'ref_id', 'expression', 'mask', 'score')


@dataclass
class Matches:
    """Predicted masks by ref_id.

    Attributes:
        masks: best first.
        extra: names of predictions of no query.
        double: names of predictions that repeat another one, and count once.
        has_scores: whether the predictions had scores.
    """
    masks: dict[str, list[Candidate]] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    has_scores: bool = True

    def add(self, refs: list[Prediction], mask: Candidate, name: str) -> None:
        """Add a mask to the refs that it is of."""
        if not refs:
            self.extra.append(name)
        if refs and all(mask in self.masks.get(each.ref_id, ()) for each in refs):
            self.double.append(name)
        for each in refs:
            masks = self.masks.setdefault(each.ref_id, [])
            if mask not in masks:
                masks.append(mask)


def dump_predictions(predictions: str | Path, index: QueryIndex, *, pattern: str = PATTERN, rule: str | None = None,
                     score_threshold: float | None = None) -> tuple[PredictionDump, str]:
    """Return predictions of another program as a dump, and a sentence with what was missing, double and extra.

    A query without prediction has an empty mask.

    Args:
        predictions: a .json, a .jsonl or a folder, see the module.
        index: the queries.
        pattern: of the files in a folder, with the fields ``{img_id}``, ``{image}`` (path without suffix),
            ``{ref_id}``, ``{expression}``, ``{part}`` and ``{super_category}``; in a field every character but letters,
            digits, '.', '-' and '_' (and '/' in ``{image}``) is '_' in the file's name.
        rule: which masks of one expression are its prediction: ``'union'``, all of them, or ``'top1'``, the best one.
            Needed where an expression has several.
        score_threshold: masks of a lower score are ignored; None for none.

    Raises:
        InputTypeError: an argument is of another type.
        MissingFileError: the predictions do not exist.
        InputError: they are damaged, of no query at all, or several for one expression and there is no ``rule``.
    """
    path = Path(check_path(predictions, 'predictions'))
    if rule is not None:
        check_choice(rule, 'rule', RULES)
    if score_threshold is not None:
        check_number(score_threshold, 'score_threshold', -1e9, 1e9)
    if path.is_dir():
        matches = match_folder(path, index, pattern)
    elif path.suffix in ('.json', '.jsonl'):
        matches = match_records(read_records(path), index)
    elif not path.exists():
        raise MissingFileError(f'there are no predictions {shown_name(str(path))}; give a .json, a .jsonl or a folder')
    else:
        raise InputError(f'{shown_name(str(path))} should be a folder or end in .json (COCO results) or .jsonl')
    report = check_matches(matches, index, str(path), rule, score_threshold)
    images = [replace(image, expressions=[
        _predicted(each, matches, rule or 'union', score_threshold) for each in image.expressions])
        for image in index.images.values()]
    missing = sum(each.ref_id not in matches.masks for image in images for each in image.expressions)
    several = rule is not None
    header: dict[str, Any] = {
        'name': path.stem, 'predictions': path.name, 'ann_file': Path(index.ann_file).name,
        **({'rule': rule} if several else {}),
        **({'score_threshold': score_threshold} if score_threshold is not None else {}),
        'missing_predictions': missing, 'double_predictions': len(matches.double),
        'extra_predictions': len(matches.extra)}
    return PredictionDump(header, unite_images(images)), report


def _predicted(query: Prediction, matches: Matches, rule: str, score_threshold: float | None) -> Prediction:
    """Return a query with its prediction."""
    masks = sorted(matches.masks.get(query.ref_id, []), key=lambda each: -each.score)
    chosen = [each for each in masks if score_threshold is None or each.score >= score_threshold]
    if rule == 'top1':
        chosen = chosen[:1]
    size = query.pred['size']
    return replace(query, pred=as_text(union([each.mask for each in chosen], size)),
                   score=max((each.score for each in chosen), default=0.0),
                   candidates=masks if matches.has_scores else None)


def check_matches(matches: Matches, index: QueryIndex, name: str, rule: str | None,
                  score_threshold: float | None) -> str:
    """Return a sentence with the number of missing, double and extra predictions, each with examples.

    Raises:
        InputError: nothing matches, or several masks are of one expression and ``rule`` is None.
    """
    refs = [each.ref_id for image in index.images.values() for each in image.expressions]
    missing = [ref_id for ref_id in refs if ref_id not in matches.masks]
    if len(missing) == len(refs):
        found = _examples('its predictions are of', matches.extra) if matches.extra else 'it has no prediction'
        raise InputError(f'no prediction of {shown_name(name)} is of one of the {len(refs):,} queries of '
                         f'{index.ann_file}: {found}, but {_examples("the queries of", missing)}; use the ids and '
                         'expressions of the json or queries')
    several = [ref_id for ref_id, masks in matches.masks.items() if len(masks) > 1]
    if several and rule is None:
        raise InputError(f'{shown_name(name)} has several masks for {len(several):,} expressions, e.g. '
                         f'{shown_name(several[0])}; choose with --rule: union (all of them) or top1 (the best)')
    if several and rule == 'top1' and not matches.has_scores:
        raise InputError(f'{shown_name(name)} has no scores by which the best of several masks is chosen; write '
                         'scores, or use --rule union')
    if score_threshold is not None and not matches.has_scores:
        raise InputError(f'{shown_name(name)} has no scores to compare with --score-threshold; remove it')
    parts = [f'{len(refs) - len(missing):,} of {len(refs):,} queries have a prediction']
    for text, names in ((' without, scored as empty masks', missing), (' double, counted once', matches.double),
                        (' of no query, ignored', matches.extra)):
        if names:
            parts.append(f'{len(names):,}{text} ({_examples("e.g.", names)})')
    return '; '.join(parts)


def _examples(start: str, names: list[str]) -> str:
    return f'{start} {"; ".join(map(shown_name, names[:MAX_EXAMPLES]))}'


# Records: COCO results and lines.


def read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what messages call a record, and the record with the keys of ``LINE_KEYS`` and ``category_id``.

    Raises:
        MissingFileError: the file does not exist.
        InputError: it is not of this form.
    """
    name = shown_name(str(path))
    if path.suffix == '.jsonl':
        lines = read_plain_file(path, name, MAX_JSON_BYTES).splitlines()
        for number, line in enumerate(lines, 1):
            if line.strip():
                where = f'{name}, line {number}'
                yield where, _checked(parse_json(line, where), LINE_KEYS, where)
        return
    content = load_json(path, name)
    if isinstance(content, dict) and 'annotations' in content:
        raise InputError(f'{name} is a COCO json with its own images and categories, whose ids are not those of '
                         "--ann-file; give a list of results with the ids of --ann-file, or lines with image and "
                         'expression')
    if not isinstance(content, list):
        raise InputError(f'{name} should be a list of COCO results with image_id, category_id or ref_id, segmentation '
                         'and score')
    for number, record in enumerate(content):
        where = f'{name}: result number {number}'
        found = _checked(record, COCO_KEYS, where)
        yield where, {'image': found.get('image_id'), 'mask': found.get('segmentation'),
                      **{key: found.get(key) for key in ('category_id', 'ref_id', 'score')}}


def _checked(record: object, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """Return the values of ``keys`` of a record; COCO's records have others, too."""
    if not isinstance(record, dict):
        raise InputError(f'{where} is a {type(record).__name__}, not an object with {", ".join(keys)}')
    found = {key: record[key] for key in keys if record.get(key) is not None}
    kinds = {'image': (int, str), 'image_id': (int, str), 'category_id': (int, ), 'ref_id': (str, ),
             'expression': (str, ), 'score': (int, float)}
    for key, value in found.items():
        if key in kinds and (not isinstance(value, kinds[key]) or isinstance(value, bool)):
            raise InputError(f'{where}: {key} is {shown(value)}, which has the wrong type')
        if isinstance(value, str) and (fault := text_fault(value)):
            raise InputError(f'{where}: {key} {fault}')
    if 'score' in found and not is_finite(found['score']):
        raise InputError(f"{where}: score is {shown(found['score'])}, not a finite number")
    mask, image = ('segmentation', 'image_id') if 'image_id' in keys else ('mask', 'image')
    if mask not in found:
        raise InputError(f"{where} has no '{mask}'; write an RLE of the image's size, or polygons")
    names = [key for key in ('ref_id', 'category_id', 'expression') if key in keys]
    if not any(key in found for key in names) or (image not in found and 'ref_id' not in found):
        raise InputError(f"{where} needs '{image}' and {' or '.join(map(repr, names))}")
    return found


def match_records(records: Iterator[tuple[str, dict[str, Any]]], index: QueryIndex) -> Matches:
    """Match records with queries.

    Raises:
        InputError: a mask is damaged or not of its image's size; some records have a score and others none.
    """
    matches = Matches()
    scored: bool | None = None
    for where, record in records:
        has_score = record.get('score') is not None
        if scored is not None and scored != has_score:
            raise InputError(f'{where} has {"a" if has_score else "no"} score, unlike the ones before; give all of '
                             'them one, or none')
        scored = has_score
        image, refs = _find(record, index)
        if image is None:
            matches.extra.append(describe_record(record))
            continue
        try:
            rle, _ = rle_from_segmentation(record['mask'], *image.ori_shape)
        except ValueError as error:
            raise InputError(f'{where}: {error}') from None
        mask = as_text(empty(image.ori_shape) if rle is None else rle)
        matches.add(refs, Candidate(float(record['score']) if has_score else 1.0, mask), describe_record(record))
    matches.has_scores = bool(scored)
    return matches


def describe_record(record: dict[str, Any]) -> str:
    """Return what a record says it is of, e.g. "image 7, category_id 3"."""
    found = [f'{key} {record[key]}' for key in ('image', 'ref_id', 'expression', 'category_id')
             if record.get(key) is not None]
    return ', '.join(found)


def _find(record: dict[str, Any], index: QueryIndex) -> tuple[ImagePredictions | None, list[Prediction]]:
    """Return the image of a record, None where it is not of the json, and the refs that it is of."""
    ref_id = record.get('ref_id')
    name = record.get('image')
    image = index.image_of(ref_id) if ref_id is not None else None
    if name is not None:
        named = index.image(name)
        if image is not None and named is not image:
            return None, []
        image = named
    if image is None:
        return None, []
    if ref_id is not None:
        return image, index.of_ref(image, ref_id)
    if record.get('expression') is not None:
        return image, index.of_expression(image, record['expression'])
    return image, index.of_category(image, record['category_id'])


# Folders.


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
    """Return the file's path below the folder for a query, see ``dump_predictions``."""
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
