"""The dataset doctor on the same broken jsons and images: it reports, or raises an error of one sentence."""
import copy
import json
import shutil
from pathlib import Path

import pytest
from bad_input import Tally
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpartref.doctor import examine
from mmpartref.doctor.doctor_report import format_report

AT_LEAST = 150
JUNK = [None, True, -1, 0, 1.5, float('nan'), float('inf'), 10**30, '', 'x', '\ud800', '\0', [], {}, [[1, 2]],
        [['a'] * 6], {'size': [72, 96], 'counts': [5]}, {'size': [72, 96], 'counts': 'zz'}, [[float('nan')] * 6],
        [[True] * 6]]
KEYS = {'images': ['id', 'file_name', 'height', 'width'], 'categories': ['id', 'name', 'supercategory'],
        'annotations': ['id', 'image_id', 'category_id', 'segmentation', 'area', 'iscrowd', 'bbox']}


@pytest.fixture(scope='module')
def tree(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validation split alone, to be broken."""
    root = tmp_path_factory.mktemp('doctor') / 'toyparts'
    for kind in ('images', 'annotations'):
        shutil.copytree(drawn / kind / 'val', root / kind / 'val')
    return root


@pytest.mark.slow
@settings(max_examples=160, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([(section, key) for section, keys in KEYS.items() for key in keys]), st.integers(0, 9),
       st.sampled_from(['replace', 'delete', 'twice', 'record']), st.sampled_from(JUNK))
def test_mutated_jsons(tree: Path, tally: Tally, place: tuple[str, str], number: int, how: str, value: object) -> None:
    path = tree / 'annotations/val/val.json'
    whole = path.read_bytes()
    document = json.loads(whole)
    (section, key), records = place, document[place[0]]
    number %= len(records)
    if how == 'replace':
        records[number][key] = copy.deepcopy(value)
    elif how == 'delete':
        records[number].pop(key, None)
    elif how == 'twice':
        records.append(copy.deepcopy(records[number]))
    else:
        records[number] = copy.deepcopy(value)
    path.write_text(json.dumps(document))
    try:
        found = tally.attempt(lambda: examine(tree, decode=False), 'val.json')
        if found is not None:
            assert format_report(found)
            if how == 'twice' and section != 'categories':
                assert not found.findings.healthy
    finally:
        path.write_bytes(whole)
