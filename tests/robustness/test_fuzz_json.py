"""Json files with something wrong in them: read with every record counted, or rejected in one sentence."""
import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_input import DOCUMENT, JUNK, WITH_REFERRING, H, Place, Tally, W, mutate, mutations, places, scalars, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mmpartref.datasets import PartImageNetReferringDataset, PartReferDataset
from mmpartref.datasets.transforms import DrawExpressions
from mmpartref.masks.rle import decode_refs

AT_LEAST = 1000
# Times as many examples, to look for bugs.
MORE = int(os.environ.get('FUZZ', '1'))
DRAW = DrawExpressions()


@pytest.fixture(scope='module')
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('json') / 'parts.json'


def account_for(dataset: PartReferDataset, document: dict) -> None:
    """Check that what went in came out or was counted."""
    counts = dataset.statistics
    assert counts.images_in_json == len(document['images'])
    assert counts.annotations_in_json == len(document['annotations'])
    assert counts.annotations_in_json == (
        counts.parts_used + counts.crowd_dropped + counts.empty_mask_dropped + counts.no_ring_dropped)
    assert counts.items == len(dataset)
    entries = [dataset.get_data_info(index) for index in range(len(dataset))]
    refs = [ref for entry in entries for ref in entry['refs']]
    assert counts.expressions + counts.absent_expressions == len(refs)
    assert len({ref['ref_id'] for ref in refs}) == len(refs)
    if 'referring' in document:
        (note, ) = (note for note in counts.notes if note.startswith('expressions '))
        dropped = len(document['referring']) - len(refs)
        assert f"{len(document['referring']):,} records" in note
        assert f'{dropped:,} dropped' in note
    else:
        assert sum(len(ref['ann_ids']) for ref in refs) == counts.parts_used
    for entry in entries:
        masks = decode_refs(entry['refs'], (entry['height'], entry['width']))
        assert set(masks.flat) <= {0, 1}
        assert all(bool(mask.any()) == ('absent' not in ref) for mask, ref in zip(masks, entry['refs'], strict=True))
        DRAW(entry)


def read(document: dict, file: Path, tally: Tally, kind: Callable = PartReferDataset, **settings: Any) -> None:
    path = write(file, document)
    dataset = tally.attempt(lambda: kind(ann_file=path, serialize_data=False, **settings), path, record=True)
    if dataset is not None:
        account_for(dataset, document)


BOUNDED = settings(max_examples=350 * MORE, deadline=None, derandomize=True, database=None,
                   suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@BOUNDED
@given(mutations(DOCUMENT))
def test_mutated_documents(file: Path, tally: Tally, changes: list) -> None:
    document = copy.deepcopy(DOCUMENT)
    for change in changes:
        mutate(document, *copy.deepcopy(change))
    read(document, file, tally)


@BOUNDED
@given(mutations(WITH_REFERRING))
@example([(('referring', 0, 'image_id'), 'replace', True)])
@example([(('referring', 0, 'ann_ids', 0), 'replace', True)])
@example([(('referring', 0, 'id'), 'replace', True)])
@example([(('referring', 1, 'id'), 'replace', '\ud800')])
@example([(('referring', 0, 'expressions', 0), 'replace', '\u200b')])
def test_mutated_documents_with_expressions(file: Path, tally: Tally, changes: list) -> None:
    document = copy.deepcopy(WITH_REFERRING)
    for change in changes:
        mutate(document, *copy.deepcopy(change))
    read(document, file, tally)


@pytest.mark.parametrize('place', [place for place in places(WITH_REFERRING) if len(place) < 4])
def test_every_place_with_every_junk(file: Path, tally: Tally, place: Place) -> None:
    """Each value once in each place, the cheap way to try thousands of documents."""
    for value in JUNK[::1 if MORE > 1 else 7]:
        for base in (DOCUMENT, WITH_REFERRING):
            document = copy.deepcopy(base)
            mutate(document, place, 'replace', copy.deepcopy(value))
            if document is not None and document != base:
                read(document, file, tally)


def polygons() -> st.SearchStrategy:
    coordinate = st.one_of(st.floats(), st.integers(-100, 100), st.floats(-9, 20), st.sampled_from([True, None, '1']))
    ring = st.one_of(st.lists(st.floats(-9, 20), min_size=6, max_size=20), st.lists(coordinate, max_size=10))
    return st.lists(ring, max_size=3)


def run_lengths() -> st.SearchStrategy:
    fitting = st.lists(st.integers(0, H * W), min_size=1, max_size=6).map(lambda cuts: [
        end - start for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), H * W], strict=True)])
    counts = st.one_of(fitting, st.lists(st.integers(-5, 99), max_size=6), st.lists(scalars(), max_size=4),
                       st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=8), st.text(max_size=4),
                       st.binary(max_size=1).map(lambda _: '35X1'), scalars())
    return st.fixed_dictionaries({'size': st.one_of(st.just([H, W]), st.just([H, W]), scalars()), 'counts': counts})


@BOUNDED
@given(st.one_of(polygons(), run_lengths(), scalars()))
def test_segmentations(file: Path, tally: Tally, segmentation: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    document['annotations'][0]['segmentation'] = segmentation
    read(document, file, tally)


@BOUNDED
@given(st.one_of(st.integers(), st.integers(-2, 70000)), st.one_of(st.integers(), st.integers(-2, 70000), scalars()))
@example(1, 2**31 - 1)
def test_sizes(file: Path, tally: Tally, height: Any, width: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    document['images'][0].update(height=height, width=width)
    document['annotations'] = document['annotations'][2:]
    path = write(file, document)
    dataset = tally.attempt(lambda: PartReferDataset(ann_file=path, serialize_data=False), path, record=True)
    assert dataset is None or (dataset.statistics.images_in_json, dataset.statistics.parts_used) == (3, 2)


def test_files_cut_off_anywhere_and_with_flipped_bytes(file: Path, tally: Tally) -> None:
    whole = json.dumps(WITH_REFERRING).encode()
    contents = [whole[:length] for length in range(0, len(whole), max(1, 40 // MORE))]
    for place in range(0, len(whole), max(1, 40 // MORE)):
        contents += [whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1:] for mask in (0x80, 0x10, 0x01)]
    contents += [b'\x00' * 100, b'\xff\xfe' + whole, whole.decode().encode('utf-16'), b'\xef\xbb\xbf' + whole, b'null',
                 b'7', b'"x"', b'[' * 100_000, b'{"a":' * 100_000, b'{"images": [' + b'9' * 5000 + b']}',
                 b'{"images": [], "images": [1], "annotations": [], "categories": []}', b'\x89PNG\r\n\x1a\n',
                 b'PK\x03\x04']
    for content in contents:
        file.write_bytes(content)
        dataset = tally.attempt(lambda: PartReferDataset(ann_file=str(file), serialize_data=False), str(file),
                                record=True)
        if dataset is not None:
            account_for(dataset, json.loads(content))


@pytest.mark.parametrize(('name', 'content', 'complaint'), [
    ('nothing at all', {'images': [], 'annotations': [], 'categories': []}, 'no annotated part is left'),
    ('no image', {'images': [], 'annotations': []}, 'of 0 annotations of 0 images 0 are used'),
    ('no annotation', {'annotations': []}, 'of 0 annotations of 3 images 0 are used'),
    ('crowds alone', {'annotations': [{**DOCUMENT['annotations'][0], 'iscrowd': 1}]}, 'dropped: 1 crowd'),
    ('no expression', {'referring': []}, 'no expression is left'),
])
def test_empty_splits(name: str, content: dict, complaint: str, file: Path, tally: Tally) -> None:
    path = write(file, {**copy.deepcopy(DOCUMENT), **content})
    for kind in (PartReferDataset, PartImageNetReferringDataset):
        tally.attempt(lambda kind=kind: kind(ann_file=path), path, record=True)
        with pytest.raises(ValueError, match=complaint):
            kind(ann_file=path)


def test_indices_that_leave_nothing(file: Path, tally: Tally) -> None:
    path = write(file, DOCUMENT)
    for indices in (0, [], [7], 'x', [-9], ['a'], [1.5], True, [True]):
        assert tally.attempt(lambda indices=indices: PartReferDataset(ann_file=path, indices=indices),
                             kinds=(ValueError, TypeError)) is None
