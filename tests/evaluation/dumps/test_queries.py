import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.dumps.queries import (
    Query,
    QuerySet,
    check_same_queries,
    queries_hash,
    queries_of_entries,
    read_queries,
)

SHIPPED = files('mmpartref') / 'datasets/toyparts/queries_test.json'
QUERIES = QuerySet([
    Query(7, 'a.jpg', '7:3', 'car wheel', 'wheel', 'car', [12, 15]),
    Query('x/8', 'b.jpg', 'x/8:1', 'the wing', 'wing', 'bird', [], absent='other', source='refcoco', position='left'),
], {'config': 'cris.py', 'split': 'test'})


@pytest.fixture
def file(tmp_path) -> Path:
    QUERIES.write(tmp_path / 'queries.json')
    return tmp_path / 'queries.json'


def test_a_file_has_everything_of_the_queries(file):
    assert read_queries(file) == QUERIES
    assert json.loads(file.read_text())['header'] == {
        'format': 'mmpartref-queries', 'version': 1, 'hash': QUERIES.hash, 'config': 'cris.py', 'split': 'test'}


def test_the_hash_is_of_image_ref_and_expression_in_any_order():
    plain = [(7, '7:3', 'car wheel'), ('x/8', 'x/8:1', 'the wing')]
    assert QUERIES.hash == queries_hash(plain) == queries_hash(plain[::-1])
    changed = [(8, '7:3', 'car wheel'), ('7', '7:3', 'car wheel'), (7, '7:4', 'car wheel'), (7, '7:3', 'car wheels')]
    assert len({queries_hash([each, plain[1]]) for each in changed} | {QUERIES.hash}) == 5
    # A constant, so that files stay comparable.
    assert queries_hash(plain) == 'fc37343bb8d6aa19f93cc35679f4823d6e2279819c58294a05bf5cb0a7cd6092'
    assert queries_hash([(1, '1:1', 'Flügel\n')]) != queries_hash([(1, '1:1', 'Flugel\n')])


@pytest.mark.parametrize(('change', 'message'), [
    (lambda content: content['header'].update(format='mmpartref-dump'), 'is not a file of queries'),
    (lambda content: content['header'].update(version=2), 'version 2 but only version 1 can be read'),
    (lambda content: content['header'].update(hash=None), 'its hash is None but that of its queries'),
    (lambda content: content['header'].update(more=[1]), r"header: 'more' is \[1\], not a string or a finite number"),
    (lambda content: content['queries'][0].update(expression='tire'), 'they were changed after it was written'),
    (lambda content: content['queries'].pop(), 'they were changed after it was written'),
    (lambda content: content['queries'][0].pop('part'), r'query number 0 has wrong keys \(missing: part; unknown'),
    (lambda content: content['queries'][0].update(score=1), r'wrong keys \(missing: none; unknown: score'),
    (lambda content: content['queries'][0].update(img_id=1.5), 'query number 0: img_id is 1.5, which has the wrong'),
    (lambda content: content['queries'][0].update(ann_ids=['12']), r"ann_ids is \['12'\], not a list of integers"),
    (lambda content: content['queries'][0].update(ann_ids=[12, 12]), 'ann_ids has an id twice'),
    (lambda content: content['queries'][0].update(ann_ids=[]), 'it has 0 ann_ids and is not marked as absent'),
    (lambda content: content['queries'][1].update(ann_ids=[3]), 'it has 1 ann_ids and is marked as absent'),
    (lambda content: content['queries'].append(content['queries'][0]), "contains the ref '7:3' twice"),
    (lambda content: content.pop('queries'), "should have the header and a list 'queries'"),
])
def test_damaged_files_are_rejected(file, change, message):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_queries(file)


def test_a_missing_file_says_what_writes_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'there is no file of queries .*none.json; make one with tools/export'):
        read_queries(tmp_path / 'none.json')


def test_differences_are_named():
    queries = QUERIES.by_ref()
    check_same_queries(queries, QUERIES.by_ref(), 'one', 'two', 'do')
    with pytest.raises(InputError, match=r"one lacks 1 refs of two and has 0 others, e\.g\. 7:3 \('car wheel' on the "
                                         r'image 7\); do'):
        check_same_queries({'x/8:1': queries['x/8:1']}, queries, 'one', 'two', 'do')
    with pytest.raises(InputError, match=r"one lacks 0 refs of two and has 1 others, e\.g\. 9"):
        check_same_queries({**queries, '9': (9, 'x')}, queries, 'one', 'two', 'do')
    with pytest.raises(InputError, match=r"one and two differ in the queries of 1 refs, e\.g\. 7:3: 'car wheel' on the "
                                         r"image 8 and 'car wheel' on the image 7; do"):
        check_same_queries({**queries, '7:3': (8, 'car wheel')}, queries, 'one', 'two', 'do')


def test_entries_give_their_first_expression_and_the_path_below_the_images():
    ref = {'ref_id': '1:2', 'expressions': ['first', 'second'], 'part': 'wing', 'super_category': 'bird',
           'ann_ids': [4]}
    entry = {'img_id': 1, 'img_path': 'data/images/val/a/b.jpg', 'refs': [ref]}
    (query, ) = queries_of_entries([entry], ['other', 'data/images/val'])
    assert query == Query(1, 'a/b.jpg', '1:2', 'first', 'wing', 'bird', [4])
    with pytest.raises(InputError, match="contains the ref '1:2' twice"):
        queries_of_entries([entry, entry], ['data'])


@pytest.fixture
def export(run_tool) -> Callable[..., str]:
    def run(*args: object) -> str:
        return run_tool('export_queries', *args)
    return run


CONFIG = 'configs/cris_tiny_toyparts.py'


def test_the_tool_writes_what_a_dump_of_the_same_config_has(export, run_tool, tmp_path):
    root = tmp_path / 'toyparts'
    make_toyparts(root, splits={'test': 2}, size=(96, 72), seed=1, workers=1)
    printed = export(CONFIG, tmp_path / 'q.json', '--data-root', root)
    queries = read_queries(tmp_path / 'q.json')
    run_tool('reference_points', CONFIG, 'whole-object', '--dump', tmp_path / 'd.json', '--data-root', root)
    assert read_dump(tmp_path / 'd.json').queries_hash == queries.hash
    assert f'hash {queries.hash}' in printed
    assert all((root / 'images/test' / each.image).is_file() for each in queries.queries)
    absent = {'test_dataloader.dataset.entries.absent.number': 1}
    export(CONFIG, tmp_path / 'absent.json', '--data-root', root, '--cfg-options',
           *(f'{key}={value}' for key, value in absent.items()))
    more = read_queries(tmp_path / 'absent.json').queries
    assert [each for each in more if each.absent is None] == queries.queries
    assert len(more) == len(queries.queries) + 2


@pytest.mark.slow
def test_the_shipped_queries_are_those_of_toyparts(export, tmp_path):
    make_toyparts(tmp_path / 'toyparts', splits={'test': 100})
    export(CONFIG, tmp_path / 'q.json', '--data-root', tmp_path / 'toyparts')
    assert read_queries(tmp_path / 'q.json') == read_queries(str(SHIPPED))
