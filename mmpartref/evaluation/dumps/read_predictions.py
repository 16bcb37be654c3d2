"""Masks that any other program predicted, as a dump.

Three forms::

    COCO results (.json)   [{"image_id", "category_id" or "ref_id", "segmentation": RLE or polygons, "score"}, ...]
    lines (.jsonl)         {"image": id or file name, "expression" or "ref_id", "mask": RLE or polygons, "score"}
    a folder               one PNG of 0 and 255 (or 0 and 1) per query, named by a pattern

A category's masks count for every expression of that category on the image.
"""
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmpartref.argument_checks import check_choice, check_number, check_path
from mmpartref.errors import InputError, MissingFileError
from mmpartref.evaluation.dumps.document import is_finite
from mmpartref.evaluation.dumps.dump import PredictionDump, unite_images
from mmpartref.evaluation.dumps.mask_folder import PATTERN, match_folder
from mmpartref.evaluation.dumps.prediction_matches import Matches, check_matches
from mmpartref.evaluation.dumps.predictions import (
    RULES,
    Candidate,
    ImagePredictions,
    Prediction,
    Rule,
    as_text,
    prediction_at,
)
from mmpartref.evaluation.dumps.query_index import QueryIndex
from mmpartref.files.json_files import load_json, parse_json
from mmpartref.files.plain_file import MAX_JSON_BYTES, read_plain_file
from mmpartref.masks.rle import empty, rle_from_segmentation
from mmpartref.text import shown, shown_name, text_fault

COCO_KEYS = ('image_id', 'category_id', 'ref_id', 'segmentation', 'score')
LINE_KEYS = ('image', 'ref_id', 'expression', 'mask', 'score')


def dump_predictions(predictions: str | Path, index: QueryIndex, *, pattern: str = PATTERN, rule: Rule | None = None,
                     score_threshold: float | None = None) -> tuple[PredictionDump, str]:
    """Return predictions of another program as a dump, and a sentence with what was missing, double and extra.

    A query without prediction has an empty mask.

    Args:
        predictions: a .json, a .jsonl or a folder, see the module.
        index: the queries.
        pattern: of the files in a folder, see ``mask_folder.file_name``.
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
    header: dict[str, Any] = {
        'name': path.stem, 'predictions': path.name, 'ann_file': Path(index.ann_file).name,
        **({'rule': rule} if rule is not None else {}),
        **({'score_threshold': score_threshold} if score_threshold is not None else {}),
        'missing_predictions': missing, 'double_predictions': len(matches.double),
        'extra_predictions': len(matches.extra)}
    return PredictionDump(header, unite_images(images)), report


def _predicted(query: Prediction, matches: Matches, rule: Rule, score_threshold: float | None) -> Prediction:
    """Return a query with its prediction."""
    masks = sorted(matches.masks.get(query.ref_id, []), key=lambda each: -each.score)
    found = prediction_at(replace(query, candidates=masks), -math.inf if score_threshold is None else score_threshold,
                          rule)
    return found if matches.has_scores else replace(found, candidates=None)


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
