"""Dumps with something wrong in them: read with every expression counted, or rejected in one sentence."""
import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_input import JUNK, Place, Tally, mutate, mutations, places, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mmpartref.errors import InputError
from mmpartref.evaluation.diagnosis.diagnose import diagnose
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.scoring.iou_metrics import describe_header, format_table
from mmpartref.evaluation.scoring.score_dump import score_absent_parts, score_dump
from mmpartref.gallery.entries import read_entries
from mmpartref.masks.iou import encode_masks

AT_LEAST = 900
MORE = int(os.environ.get('FUZZ', '1'))
BOUNDED = settings(max_examples=400 * MORE, deadline=None, derandomize=True, database=None,
                   suppress_health_check=list(HealthCheck))
# Values that a dump can have in a wrong place, too.
JUNK = [*JUNK, 10**400, -10**400, 2.0, {'size': [6, 8], 'counts': '35X1'}, {'size': [6, 8], 'counts': 'P1'}]


def rle(columns: slice) -> dict:
    mask = np.zeros((1, 6, 8), dtype=bool)
    mask[:, 1:4, columns] = True
    return encode_masks(mask)[0]


def expression(ref_id: str, **more: Any) -> dict:
    return {'ref_id': ref_id, 'expression': 'car wheel', 'part': 'wheel', 'super_category': 'car', 'ann_ids': [3],
            'score': 0.5, 'pred': rle(slice(0, 4)), 'truth': [rle(slice(2, 6))], **more}


DUMP: dict[str, Any] = {
    'header': {'format': 'mmpartref-dump', 'version': 2, 'queries_hash': None, 'config': 'cris.py', 'threshold': 0.5},
    'images': [
        {'img_id': 1, 'img_path': 'a.png', 'ori_shape': [6, 8], 'expressions': [
            expression('1:1', level='part', position='left', truncated='wheel'),
            expression('1:2', source='refcoco', presence=1, candidates=[
                {'score': 0.9, 'mask': rle(slice(0, 2))}, {'score': 1, 'mask': rle(slice(3))}])]},
        {'img_id': '2', 'img_path': 'b.png', 'ori_shape': [6, 8], 'expressions': [
            expression('2:1', ann_ids=[], truth=[], absent='other', presence=0.25)]}],
}


@pytest.fixture(scope='module')
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('dumps') / 'dump.json'


def read(path: Path, tally: Tally, document: Any = None) -> None:
    """Read a dump; what is accepted has every expression once, can be scored and written, and is read again alike."""
    dump = tally.attempt(lambda: read_dump(path), str(path), kinds=(InputError, ))
    if dump is None:
        return
    predictions = [each for image in dump.images for each in image.expressions]
    assert len({image.img_id for image in dump.images}) == len(dump.images)
    assert len({each.ref_id for each in predictions}) == len(predictions)
    if document is not None:
        assert len(dump.images) == len(document['images'])
        assert len(predictions) == sum(len(image['expressions']) for image in document['images'])
    rows = score_dump(dump)
    assert len(rows) + len(score_absent_parts(dump)) == len(predictions)
    assert describe_header(dump.header).isprintable()
    for use in (lambda: format_table(rows), lambda: diagnose(dump), lambda: read_entries(dump)):
        tally.attempt(use, kinds=(InputError, ))
    again = path.with_name('again.json')
    dump.write(again)
    assert read_dump(again) == dump


def test_the_dump_is_read_as_it_is(file: Path, tally: Tally) -> None:
    write(file, DUMP)
    assert [image.img_id for image in read_dump(file).images] == [1, '2']
    read(file, tally, DUMP)


@BOUNDED
@given(mutations(DUMP))
@example([(('images', 0), 'twice', None)])
@example([(('images', 0, 'expressions', 0), 'twice', None)])
@example([(('images', 1, 'img_id'), 'replace', 1)])
@example([(('header', 'version'), 'replace', True)])
@example([(('images', 0, 'expressions', 0, 'score'), 'replace', 10**400)])
def test_mutated_dumps(file: Path, tally: Tally, changes: list) -> None:
    document = copy.deepcopy(DUMP)
    for change in changes:
        mutate(document, *copy.deepcopy(change))
    write(file, document)
    read(file, tally, document)


@pytest.mark.parametrize('place', [place for place in places(DUMP) if place[:2] != ('images', 1)])
def test_every_place_with_every_junk(file: Path, tally: Tally, place: Place) -> None:
    for value in JUNK[::1 if MORE > 1 else 5]:
        document = copy.deepcopy(DUMP)
        mutate(document, place, 'replace', copy.deepcopy(value))
        write(file, document)
        read(file, tally, document)


@BOUNDED
@given(st.lists(st.tuples(st.sampled_from([1, 2, '1', '2', True]), st.lists(st.sampled_from('abcde'))), max_size=4))
@example([(1, ['a']), (1, ['b'])])
@example([(1, ['a']), (2, ['a'])])
@example([(1, ['a', 'a'])])
def test_ids_that_occur_twice(file: Path, tally: Tally, images: list) -> None:
    document = {**DUMP, 'images': [{**DUMP['images'][0], 'img_id': img_id, 'expressions': list(map(expression, refs))}
                                   for img_id, refs in images]}
    write(file, document)
    read(file, tally, document)
    ids, refs = [img_id for img_id, _ in images], [ref for _, refs in images for ref in refs]
    if any(each is True for each in ids) or len(set(ids)) < len(ids) or len(set(refs)) < len(refs):
        with pytest.raises(InputError):
            read_dump(file)


def test_dumps_cut_off_anywhere_and_with_flipped_bytes(file: Path, tally: Tally) -> None:
    whole = json.dumps(DUMP).encode()
    step = max(1, 30 // MORE)
    contents = [whole[:length] for length in range(0, len(whole), step)]
    contents += [whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1:]
                 for place in range(0, len(whole), step) for bit in (0x80, 0x10, 0x01)]
    contents += [b'\0' * 100, b'\xff\xfe' + whole, b'\xef\xbb\xbf' + whole, b'null', b'[' * 100_000, b'{"a":' * 100_000,
                 whole + whole, b'{"images": [' + b'9' * 5000 + b']}', b'\x89PNG\r\n\x1a\n', b'PK\x03\x04']
    for content in contents:
        file.write_bytes(content)
        read(file, tally)


@pytest.mark.parametrize('place', [place for place in places(DUMP) if isinstance(place[-1], str)])
def test_every_key_twice(file: Path, tally: Tally, place: Place) -> None:
    """The record's own key again in front of it: which of the two counts is never a matter of the parser."""
    document = copy.deepcopy(DUMP)
    mutate(document, place, 'replace', 'MARK')
    text = json.dumps(document)
    key = json.dumps(place[-1])
    assert text.count(f'{key}: "MARK"') == 1
    file.write_text(text.replace(f'{key}: "MARK"', f'{key}: "MARK", {key}: "MARK"'))
    assert tally.attempt(lambda: read_dump(file), str(file), kinds=(InputError, )) is None
    with pytest.raises(InputError, match='twice'):
        read_dump(file)


def test_a_written_dump_is_one_that_can_be_read(file: Path, tally: Tally) -> None:
    """Headers: what cannot be read is not written."""
    for value in JUNK:
        header = {'config': copy.deepcopy(value)}
        dump = tally.attempt(lambda header=header: PredictionDump(header, []).write(file) or read_dump(file),
                             kinds=(InputError, ))
        assert dump is None or dump.header == header
