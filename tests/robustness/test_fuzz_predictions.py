"""Queries and predictions of other programs with faults: read and scored, or rejected in one sentence."""
import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from bad_input import DOCUMENT, JUNK, Tally, mutate, mutations, places, write
from hypothesis import HealthCheck, example, given, settings

from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.dumps.queries import read_queries
from mmpartref.evaluation.dumps.query_index import QueryIndex
from mmpartref.evaluation.dumps.read_predictions import dump_predictions
from mmpartref.evaluation.scoring.score_dump import score_absent_parts, score_dump

MORE = int(os.environ.get('FUZZ', '1'))
BOUNDED = settings(max_examples=300 * MORE, deadline=None, derandomize=True, database=None,
                   suppress_health_check=list(HealthCheck))
AT_LEAST = 900
JUNK = [*JUNK, 10**400, -10**400]
MASK = {'size': [6, 8], 'counts': '35X1'}
RESULTS: list[dict[str, Any]] = [
    {'image_id': 1, 'category_id': 5, 'segmentation': MASK, 'score': 0.5},
    {'image_id': 2, 'ref_id': '2:5', 'segmentation': [[1, 1, 4, 1, 4, 4, 1, 4]], 'score': 1, 'bbox': [1, 1, 3, 3]}]
LINES: list[dict[str, Any]] = [
    {'image': 'a.png', 'expression': 'car wheel', 'mask': MASK, 'score': 0.5},
    {'image': 1, 'ref_id': '1:6', 'mask': {'size': [6, 8], 'counts': [3, 5, 40]}, 'score': 1}]
QUERIES: dict[str, Any] = {
    'header': {'format': 'mmpartref-queries', 'version': 1, 'hash': None, 'config': 'cris.py'},
    'queries': [{'img_id': 1, 'image': 'a.png', 'ref_id': '1:5', 'expression': 'car wheel', 'part': 'wheel',
                 'super_category': 'car', 'ann_ids': [11]},
                {'img_id': '3', 'image': 'c.png', 'ref_id': 'x', 'expression': 'a dog', 'part': 'dog',
                 'super_category': '', 'ann_ids': [], 'absent': 'other', 'position': 'left', 'source': 'mine'}]}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('predictions')
    write(folder / 'parts.json', DOCUMENT)
    return folder


@pytest.fixture(scope='module')
def index(folder: Path) -> QueryIndex:
    return QueryIndex(folder / 'parts.json')


def read_results(path: Path, index: QueryIndex, tally: Tally) -> None:
    """Read predictions; what is accepted is scored, and every query has exactly one prediction."""
    found = tally.attempt(lambda: dump_predictions(path, index, rule='union'), str(path), kinds=(InputError, ))
    if found is None:
        return
    dump, report = found
    assert report.isprintable()
    refs = [each.ref_id for image in index.images.values() for each in image.expressions]
    assert sorted(each.ref_id for image in dump.images for each in image.expressions) == sorted(refs)
    assert len(score_dump(dump)) == len(refs)
    dump.write(path.with_name('dump.json'))
    assert read_dump(path.with_name('dump.json')) == dump


def write_lines(path: Path, records: Any) -> Path:
    path.write_text('\n'.join(map(json.dumps, records if isinstance(records, list) else [records])), encoding='utf-8')
    return path


@BOUNDED
@given(mutations(RESULTS))
@example([((0, ), 'twice', None)])
@example([((0, 'score'), 'replace', 10**400)])
@example([((0, 'image_id'), 'replace', 1.0)])
def test_mutated_results(folder: Path, index: QueryIndex, tally: Tally, changes: list) -> None:
    document = copy.deepcopy(RESULTS)
    for change in changes:
        mutate(document, *copy.deepcopy(change))
    write(folder / 'results.json', document)
    read_results(folder / 'results.json', index, tally)


@BOUNDED
@given(mutations(LINES))
@example([((1, 'image'), 'replace', 2)])
def test_mutated_lines(folder: Path, index: QueryIndex, tally: Tally, changes: list) -> None:
    document = copy.deepcopy(LINES)
    for change in changes:
        mutate(document, *copy.deepcopy(change))
    read_results(write_lines(folder / 'lines.jsonl', document), index, tally)


@BOUNDED
@given(mutations(QUERIES))
@example([(('queries', 0), 'twice', None)])
@example([(('queries', 0, 'ann_ids', 0), 'replace', 12)])
@example([(('queries', 0, 'ann_ids', 0), 'replace', 13)])
def test_mutated_queries(folder: Path, tally: Tally, changes: list) -> None:
    document = copy.deepcopy(QUERIES)
    for change in changes:
        mutate(document, *copy.deepcopy(change))
    path = folder / 'queries.json'
    write(path, document)
    with pytest.raises(InputError):  # the hash is missing
        read_queries(path)
    # With the hash that the message names, other faults show.
    try:
        read_queries(path)
    except InputError as error:
        words = str(error).split('that of its queries ')
        if len(words) == 2 and isinstance(document.get('header'), dict):
            document['header']['hash'] = words[1][:64]
            write(path, document)
    queries = tally.attempt(lambda: read_queries(path), str(path), kinds=(InputError, ))
    if queries is None:
        return
    index = tally.attempt(lambda: QueryIndex(folder / 'parts.json', queries), str(folder), kinds=(InputError, ))
    if index is not None:
        refs = [each for image in index.images.values() for each in image.expressions]
        assert len(refs) == len(queries.queries)
        assert len([each for each in refs if each.absent is not None]) == sum(
            each.absent is not None for each in queries.queries)


@pytest.mark.parametrize('kind', ['results.json', 'lines.jsonl'])
def test_every_place_with_every_junk(folder: Path, index: QueryIndex, tally: Tally, kind: str) -> None:
    original = RESULTS if kind == 'results.json' else LINES
    for place in places(original):
        for value in JUNK[::1 if MORE > 1 else 5]:
            document = copy.deepcopy(original)
            mutate(document, place, 'replace', copy.deepcopy(value))
            path = folder / kind
            if kind == 'results.json':
                write(path, document)
            else:
                write_lines(path, document)
            read_results(path, index, tally)


def test_files_cut_off_anywhere_and_with_flipped_bytes(folder: Path, index: QueryIndex, tally: Tally) -> None:
    for name, whole in (('results.json', json.dumps(RESULTS)), ('lines.jsonl', '\n'.join(map(json.dumps, LINES)))):
        content = whole.encode()
        step = max(1, 12 // MORE)
        contents = [content[:length] for length in range(0, len(content), step)]
        contents += [content[:place] + bytes([content[place] ^ bit]) + content[place + 1:]
                     for place in range(0, len(content), step) for bit in (0x80, 0x10, 0x01)]
        contents += [b'\0' * 100, b'\xff\xfe' + content, b'[' * 100_000, b'\x89PNG\r\n\x1a\n']
        for each in contents:
            (folder / name).write_bytes(each)
            read_results(folder / name, index, tally)


def test_absent_queries_are_predicted_too(folder: Path) -> None:
    path = folder / 'own.json'
    document = copy.deepcopy(QUERIES)
    document['header']['hash'] = '0'
    write(path, document)
    with pytest.raises(InputError) as error:
        read_queries(path)
    document['header']['hash'] = str(error.value).split('that of its queries ')[1][:64]
    write(path, document)
    index = QueryIndex(folder / 'parts.json', read_queries(path))
    dump, _ = dump_predictions(write_lines(folder / 'own.jsonl', [
        {'ref_id': 'x', 'mask': {'size': [6, 8], 'counts': [48]}}]), index)
    assert (len(score_dump(dump)), len(score_absent_parts(dump))) == (1, 1)
