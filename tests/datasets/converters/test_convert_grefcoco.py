"""gRefCOCO: expressions with several targets or none."""
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_grefcoco
from mmpartref.datasets.converters.standard_json import write_documents


def ref(ref_id: int, ann_id: list, image_id: int = 1, split: str = 'val', **more: Any) -> dict[str, Any]:
    return {'ref_id': ref_id, 'ann_id': ann_id, 'image_id': image_id, 'split': split, 'category_id': [5],
            'sentences': [{'sent_id': ref_id, 'sent': f'text {ref_id}', 'raw': 'x', 'tokens': []}], **more}


def convert(folder: Path, coco: dict, refs: object) -> tuple[dict, list[str]]:
    (folder / 'grefs(unc).json').write_text(json.dumps(refs))
    (folder / 'instances.json').write_text(json.dumps(coco))
    return convert_grefcoco(folder / 'grefs(unc).json', folder / 'instances.json')


def test_many_one_and_no_targets(tmp_path: Path, coco: dict) -> None:
    refs = [ref(1, [11, 13], no_target=False), ref(2, [-1], no_target=True), ref(3, []), ref(4, [14], 2, 'train')]
    documents, lines = convert(tmp_path, coco, refs)
    assert lines[:2] == ['train  1 refs, 0 of them without a target; 1 expressions',
                         'val    3 refs, 2 of them without a target; 3 expressions']
    paths = write_documents(documents, tmp_path / 'out')
    assert [path.name for path in paths] == ['grefcoco_unc_train.json', 'grefcoco_unc_val.json']
    read = PartReferDataset(ann_file=str(paths[1])).get_data_info(0)['refs']
    assert [(each['ref_id'], each['ann_ids'], each.get('absent'), each['source']) for each in read] == [
        ('1', [11, 13], None, 'gRefCOCO'), ('2', [], 'no_target', 'gRefCOCO'), ('3', [], 'no_target', 'gRefCOCO')]


@pytest.mark.parametrize(('refs', 'message'), [
    ({}, 'is not a list of refs'),
    ([ref(1, [11, -1])], r"ref 0: 'ann_id' is \[11, -1\], which is both no target and a target"),
    ([ref(1, [11], no_target=True)], r"'no_target' is True but 'ann_id' is \[11\]; correct one of them"),
    ([ref(1, [-1], no_target=False)], r"'no_target' is False but 'ann_id' is \[-1\]"),
    ([ref(1, ['11'])], 'not a list of ids'),
    ([ref(1, [14])], 'has no annotation 14 of image 1'),
    ([ref(1, [11], split='test')], "ref 0 is of split 'test', but gRefCOCO has train, val, testA, testB"),
    ([ref(1, [11]), ref(1, [12])], 'ref 1 has the ref_id 1 of another'),
])
def test_faulty_refs_are_rejected(refs: object, message: str, tmp_path: Path, coco: dict) -> None:
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, coco, refs)


def test_a_cut_json_is_rejected(tmp_path: Path, coco: dict) -> None:
    convert(tmp_path, coco, [ref(1, [11])])
    (tmp_path / 'grefs(unc).json').write_text('[{"ref_id"')
    with pytest.raises(ValueError, match='not a complete json'):
        convert_grefcoco(tmp_path / 'grefs(unc).json', tmp_path / 'instances.json')


def test_the_tool_writes_what_the_config_reads(tmp_path: Path, coco: dict, convert_tool: Callable,
                                               build_config: Callable) -> None:
    convert(tmp_path, coco, [ref(1, [11, 13]), ref(2, [-1]), ref(3, [12], split='train')])
    arguments = ('grefcoco', tmp_path / 'grefs(unc).json', tmp_path / 'instances.json', '--out', tmp_path / 'grefcoco')
    status, lines = convert_tool(*arguments)
    assert status == 0
    assert lines[-2:] == [f'wrote {tmp_path}/grefcoco/grefcoco_unc_train.json',
                          f'wrote {tmp_path}/grefcoco/grefcoco_unc_val.json']
    built = build_config('grefcoco', tmp_path)
    assert [len(each.get_data_info(0)['refs']) for each in built.values()] == [1, 2]
    status, lines = convert_tool(*arguments)
    assert (status, len(lines)) == (2, 1)


def test_refs_without_a_usable_sentence_are_dropped_and_counted(tmp_path: Path, coco: dict) -> None:
    refs = [ref(1, [11]), {**ref(2, [-1]), 'sentences': []}, {**ref(3, [12]), 'sentences': [{'sent': ' '}]}]
    documents, lines = convert(tmp_path, coco, refs)
    assert [record['id'] for record in documents['grefcoco_unc_val']['referring']] == [1]
    assert lines[1] == ('val    1 refs, 0 of them without a target; 1 expressions; dropped: 1 blank sentences, 2 refs '
                        'without a usable sentence')


def test_long_lists_are_shortened_in_messages(tmp_path: Path, coco: dict) -> None:
    with pytest.raises(ValueError, match='not a list of ids') as error:
        convert(tmp_path, coco, [ref(1, [[1] * 1000] * 1000)])
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(('content', 'message'), [
    ('é'.encode('latin-1'), r'grefs\(unc\)\.json is not a text file in UTF-8'),
    (b'[' * 100_000, r'grefs\(unc\)\.json is (nested too deeply|not a complete json)'),
    (b'[' * 100_000 + b']' * 100_000, r'grefs\(unc\)\.json is nested too deeply'),
    (b'[{"ref_id": ' + b'9' * 5000 + b'}]', r'grefs\(unc\)\.json holds an integer of thousands of digits')])
def test_other_encodings_and_depths_are_named(content: bytes, message: str, tmp_path: Path, coco: dict) -> None:
    convert(tmp_path, coco, [ref(1, [11])])
    (tmp_path / 'grefs(unc).json').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        convert_grefcoco(tmp_path / 'grefs(unc).json', tmp_path / 'instances.json')


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_a_json_with_a_byte_order_mark_is_read(encoding: str, tmp_path: Path, coco: dict) -> None:
    expected = convert(tmp_path, coco, [ref(1, [11])])
    for path in tmp_path.iterdir():
        path.write_text(path.read_text(), encoding=encoding)
    assert convert_grefcoco(tmp_path / 'grefs(unc).json', tmp_path / 'instances.json') == expected
