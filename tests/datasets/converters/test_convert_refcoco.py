"""RefCOCO's pickle and instances.json."""
import collections
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_refcoco
from mmpartref.datasets.converters.standard_json import write_documents

ROOT = Path(__file__).parents[3]


def ref(ref_id: int, ann_id: int, image_id: int, split: str, *texts: str) -> dict[str, Any]:
    return {'ref_id': ref_id, 'ann_id': ann_id, 'image_id': image_id, 'split': split, 'category_id': 5,
            'file_name': f'image{image_id}_{ann_id}.jpg', 'sent_ids': list(range(len(texts))),
            'sentences': [{'sent_id': number, 'sent': text, 'raw': text.upper(), 'tokens': text.split()}
                          for number, text in enumerate(texts)]}


@pytest.fixture
def files(tmp_path: Path, coco: dict) -> tuple[Path, Path]:
    refs = [ref(1, 11, 1, 'train', 'left wheel', 'the wheel at left'), ref(2, 13, 1, 'train', 'right wheel'),
            ref(3, 14, 2, 'testA', 'head')]
    (tmp_path / 'refs(unc).p').write_bytes(pickle.dumps(refs, protocol=0))
    (tmp_path / 'instances.json').write_text(json.dumps(coco))
    return tmp_path / 'refs(unc).p', tmp_path / 'instances.json'


def test_each_split_is_a_json_the_dataset_reads(files: tuple[Path, Path], tmp_path: Path) -> None:
    documents, lines = convert_refcoco(*files, 'refcoco+', 'unc')
    assert list(documents) == ['refcoco+_unc_train', 'refcoco+_unc_testA']
    train, test = write_documents(documents, tmp_path / 'out')
    assert lines[0] == 'train  2 refs, but 42,278 are published; 3 expressions'
    refs = PartReferDataset(ann_file=str(train)).get_data_info(0)['refs']
    assert [(each['ref_id'], each['ann_ids'], each['expressions'], each['source']) for each in refs] == [
        ('1', [11], ['left wheel', 'the wheel at left'], 'RefCOCO+'), ('2', [13], ['right wheel'], 'RefCOCO+')]
    assert PartReferDataset(ann_file=str(test)).get_data_info(0)['img_id'] == 2
    with pytest.raises(FileExistsError, match='exists already'):
        write_documents(documents, tmp_path / 'out')


@pytest.mark.parametrize(('change', 'message'), [
    ({'split': 'test'}, "ref 0 is of split 'test', but RefCOCO has train, val, testA, testB"),
    ({'ann_id': 99}, 'ref 0: .*instances.json has no annotation 99 of image 1; use the two files of one download'),
    ({'image_id': 2}, 'ref 0: .*instances.json has no annotation 11 of image 2'),
    ({'image_id': 9}, r'ref 0: .* has no image 9'),
    ({'sentences': [3]}, r"ref 0, sentences\[0\] has no 'sent'"),
    ({'ref_id': 2**80}, "ref 0: 'ref_id' is an integer of 81 bits"),
    ({'sentences': [{'raw': 'x'}]}, r"ref 0, sentences\[0\] has no 'sent'"),
    ({'ref_id': '1'}, "ref 0: 'ref_id' is a str, not int"),
    ({'ref_id': 2}, 'ref 1 has the ref_id 2 of another'),
])
def test_faulty_refs_are_rejected(change: dict, message: str, files: tuple[Path, Path]) -> None:
    refs = pickle.loads(files[0].read_bytes())
    refs[0].update(change)
    files[0].write_bytes(pickle.dumps(refs))
    with pytest.raises(ValueError, match=message):
        convert_refcoco(*files, 'refcoco', 'unc')


@pytest.mark.parametrize(('content', 'message'), [
    (pickle.dumps([collections.OrderedDict()]), r'not a complete pickle of plain values \(it imports collections'),
    (pickle.dumps([1, 2])[:-3], 'not a complete pickle of plain values'),
    (pickle.dumps({}), 'is not a list of refs'),
])
def test_faulty_pickles_are_rejected(content: bytes, message: str, files: tuple[Path, Path]) -> None:
    files[0].write_bytes(content)
    with pytest.raises(ValueError, match=message):
        convert_refcoco(*files, 'refcoco', 'unc')


def test_unknown_splits_are_rejected(files: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"refcoco has no splits by 'umd'; choose one of refcoco unc"):
        convert_refcoco(*files, 'refcoco', 'umd')


@pytest.mark.slow
def test_the_tool_writes_once_and_then_ends_with_one_sentence(files: tuple[Path, Path], tmp_path: Path,
                                                              convert_tool: Callable) -> None:
    arguments = ('refcoco', *files, '--out', tmp_path / 'new')
    status, lines = convert_tool(*arguments)
    assert status == 0
    assert f"wrote {tmp_path / 'new' / 'refcoco_unc_train.json'}" in lines
    # As a program, so that a warning of an import would count too.
    again = subprocess.run([sys.executable, str(ROOT / 'tools/convert_dataset.py'), *map(str, arguments)],
                           capture_output=True, text=True, cwd=ROOT, check=False)
    assert again.returncode == 2
    assert again.stderr.count('\n') == 1


@pytest.mark.parametrize(('kind', 'config', 'split_by'), [
    ('refcoco', 'refcoco', 'unc'), ('refcoco+', 'refcoco_plus', 'unc'), ('refcocog', 'refcocog', 'umd')])
def test_the_tool_writes_what_the_config_reads(kind: str, config: str, split_by: str, tmp_path: Path, coco: dict,
                                               convert_tool: Callable, build_config: Callable) -> None:
    refs = [ref(1, 11, 1, 'train', 'left wheel', 'the wheel at left'), ref(2, 14, 2, 'val', 'head', 'beak')]
    (tmp_path / 'refs.p').write_bytes(pickle.dumps(refs))
    (tmp_path / 'instances.json').write_text(json.dumps(coco))
    status, _ = convert_tool(kind, tmp_path / 'refs.p', tmp_path / 'instances.json', '--split-by', split_by, '--out',
                             tmp_path / kind)
    train, val = build_config(config, tmp_path).values()
    assert (status, len(train.get_data_info(0)['refs']), len(val.get_data_info(0)['refs'])) == (0, 1, 2)


@pytest.mark.parametrize('blank', [[], [' '], ['', '\u200b\n']])
def test_refs_without_a_usable_sentence_are_dropped_and_counted(blank: list[str], files: tuple[Path, Path]) -> None:
    refs = pickle.loads(files[0].read_bytes())
    refs += [ref(4, 12, 1, 'train', *blank), ref(5, 12, 1, 'train', 'hood', *blank)]
    files[0].write_bytes(pickle.dumps(refs))
    documents, lines = convert_refcoco(*files, 'refcoco', 'unc')
    document = documents['refcoco_unc_train']
    assert [record['id'] for record in document['referring']] == [1, 2, 5]
    assert document['referring'][-1]['expressions'] == ['hood']
    sentences = f'{2 * len(blank)} blank sentences, ' if blank else ''
    assert lines[0] == ('train  4 refs, but 42,404 are published; 4 expressions; dropped: '
                        f'{sentences}1 refs without a usable sentence')
    assert 'dropped' not in lines[2]


def test_nothing_to_write_is_an_error(files: tuple[Path, Path], tmp_path: Path, convert_tool: Callable) -> None:
    files[0].write_bytes(pickle.dumps([ref(1, 11, 1, 'train', ' ')]))
    status, lines = convert_tool('refcoco', *files, '--out', tmp_path / 'new')
    assert (status, lines) == (2, [f'nothing is written to {tmp_path}/new, since no record can be used; use the file '
                                   'as it was published'])
    assert not (tmp_path / 'new').exists()
