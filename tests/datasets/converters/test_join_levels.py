"""Join of three jsons: objects, parts and subparts."""
import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters.published.join_levels import join_levels
from mmpartref.datasets.converters.standard_json import measured


@pytest.fixture
def files(coco: dict, tmp_path: Path, polygon: Callable) -> dict[str, str]:
    """The shared fixture's parts; a whole car; a rim of the car's wheel."""
    def write(level: str, document: dict) -> str:
        path = tmp_path / f'{level}s.json'
        path.write_text(json.dumps(document), encoding='utf-8')
        return str(path)

    def other(category: dict, box: list) -> dict:
        document = copy.deepcopy(coco)
        document['images'] = document['images'][:1]
        document['categories'] = [{'id': 5, **category}]
        document['annotations'] = [{'id': 11, 'image_id': 1, 'category_id': 5, 'segmentation': box}]
        return document

    return {
        'part': write('part', coco),
        'object': write('object', other({'name': 'sports car', 'supercategory': ''}, polygon(1, 1, 25, 15))),
        'subpart': write('subpart', other({'name': 'Car-Wheel-Rim', 'supercategory': 'car wheel', 'part': 'rim'},
                                          polygon(3, 11, 2, 2))),
    }


def test_the_joined_json_has_expressions_of_every_level(files: dict, tmp_path: Path) -> None:
    document, lines = join_levels(files)
    path = tmp_path / 'all.json'
    path.write_text(json.dumps(document))
    dataset = PartReferDataset(ann_file=str(path), entries={
        'expressions': {'templates': ['the {part} of the {super_category}']}})
    assert len(dataset) == 2
    assert [(ref.get('level'), ref['super_category'], ref['expressions'][0], len(ref['rles']))
            for index in range(2) for ref in dataset.get_data_info(index)['refs']] == [
        ('object', 'sports car', 'the sports car', 1),
        (None, 'car', 'the wheel of the car', 2),
        (None, 'car', 'the hood of the car', 1),
        ('subpart', 'car', 'the rim of the wheel of the car', 1),
        (None, 'bird', 'the head of the bird', 1)]
    assert [line.split(',')[0] for line in lines] == [
        'object: 1 annotations of 1 categories in 1 images', 'part: 4 annotations of 3 categories in 2 images',
        'subpart: 1 annotations of 1 categories in 1 images']
    assert join_levels({'part': files['part']})[0]['categories'][0]['level'] == 'part'


def test_files_that_do_not_belong_together_are_rejected(files: dict) -> None:
    with pytest.raises(ValueError, match="category 5: its super-category 'car wheel' does not begin with one of"):
        join_levels({'subpart': files['subpart']})
    document = json.loads(Path(files['object']).read_text())
    for key, value, message in (('height', 21, 'image 1 has another name or size than in the files before'),
                                ('file_name', 'x.png', 'image 1 has another name')):
        broken = copy.deepcopy(document)
        broken['images'][0][key] = value
        Path(files['object']).write_text(json.dumps(broken))
        with pytest.raises(ValueError, match=message):
            join_levels(files)
    document['annotations'][0]['category_id'] = 77
    Path(files['object']).write_text(json.dumps(document))
    with pytest.raises(ValueError, match='annotation 11: its category_id 77 is missing'):
        join_levels(files)


def test_the_tool_writes_it_once(files: dict, tmp_path: Path, run_tool, capsys) -> None:
    out = tmp_path / 'new' / 'train.json'
    arguments = [*(word for level, path in files.items() for word in (f'--{level}s', path)), '--out', out]
    printed = run_tool('join_levels', *arguments)
    assert json.loads(out.read_text()) == measured(join_levels(files)[0], 'the json')
    assert f'2 images -> {out}' in printed
    with pytest.raises(SystemExit, match='2'):
        run_tool('join_levels', *arguments)
    assert 'exists already' in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--out', '{folder}'], '{folder} is a folder'),
    (['--out', '{folder}/new'], 'is not the name of a json'),
    (['--out', ''], 'argument --out: it is empty; name a file or folder'),
    (['--out', '{folder}/new.json', '--parts', ''], 'argument --parts: it is empty'),
    (['--out', '{folder}/new.json', '--subparts', ' '], 'argument --subparts: it is empty')])
def test_the_tool_rejects_names_of_nothing(arguments: list[str], message: str, files: dict, tmp_path: Path, run_tool,
                                           capsys) -> None:
    folder = tmp_path / 'folder'
    folder.mkdir()
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(SystemExit, match='2'):
        run_tool('join_levels', '--parts', files['part'], *(each.format(folder=folder) for each in arguments))
    assert message.format(folder=folder) in capsys.readouterr().err
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('change', [{'supercategory': 3}, {'part': ['x']}, {'name': '\u200b'}, {'level': 5}])
def test_faulty_categories_are_rejected(change: dict, files: dict) -> None:
    document = json.loads(Path(files['part']).read_text())
    document['categories'][0].update(change)
    Path(files['part']).write_text(json.dumps(document))
    with pytest.raises(ValueError, match=f"parts.json: category 5: .*{next(iter(change))}"):
        join_levels(files)
