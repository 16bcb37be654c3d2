"""InstructPart: six wordings of each part, file names made of object and part, masks that are not 0."""
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_instructpart
from mmpartref.datasets.converters.standard_json import write_documents

SIZE = (6, 9)
CUP, LID = 'cup_1-coffee_cup-handle', 'kettle-2-kettle-lid'


def item(owner: str, part: str, *texts: str) -> dict[str, Any]:
    return {'object': owner, 'part': part, 'affordance': 'hold', 'action': 'pick up', 'instruction': list(texts) or [
        f'What would I hold to use the {owner}?', f'Which part of the {owner} is to be held?',
        f'Where is the {part} of the {owner} in this image?', f'Where is the {part} of the {owner} that can be held?',
        f'{part} of the {owner}', f'{part} of the {owner} that can be held']}


def entry(image: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {'image_path': image, 'part_list': list(items)}


ENTRIES = [entry('cup_1.jpg', item('coffee cup', 'handle')), entry('kettle-2.jpg', item('kettle', 'lid'))]


def write_files(folder: Path, stem: str, values: np.ndarray, size: tuple[int, int] = SIZE) -> None:
    for name in ('images', 'masks'):
        (folder / name).mkdir(exist_ok=True)
    Image.new('RGB', size[::-1]).save(folder / 'images' / f'{stem}.jpg')
    Image.fromarray(values).save(folder / 'masks' / f'{stem}.png')


def values(white: int, rows: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[:rows, :3] = white
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The test split in the layout of the README of zifuwan/InstructPart (function ``read_my_data``).

    The README's reader makes the files' names of ``image_path``, ``object`` and ``part``. The masks next to the images
    are as ``_iter_instructpart`` of sajeedmehrab/op-hrg (``benchmarks/benchmark_datasets.py``) reads them: every value
    but 0 is part. One has white pixels of 255, the other of 1.
    """
    folder = tmp_path / 'InstructPart' / 'test'
    folder.mkdir(parents=True)
    write_files(folder, CUP, values(255, 2))
    write_files(folder, LID, values(1, 3))
    return folder


def convert(folder: Path, entries: object, *wordings: int) -> tuple[dict, list[str]]:
    (folder / 'data_test.json').write_text(json.dumps(entries))
    return convert_instructpart(folder, wordings) if wordings else convert_instructpart(folder)


def refs_of(path: Path) -> list[dict]:
    dataset = PartReferDataset(ann_file=str(path))
    return [ref for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']]


def test_tasks_and_names_are_two_jsons(folder: Path) -> None:
    (folder / 'images' / '._x.jpg').write_bytes(b'')
    Image.new('RGB', (2, 2)).save(folder / 'images' / 'more.jpg')
    documents, lines = convert(folder, ENTRIES)
    assert lines == [
        '2 parts, but 600 are published; parts: 2 read, 2 written; dropped: 0 with the files of a later part, 0 with '
        'an empty mask',
        'wording 0 (task, by people): 2 read, 2 written; dropped: 0 missing or blank',
        'wording 1 (task, by GPT-4): 2 read, 2 written; dropped: 0 missing or blank',
        'wording 4 (part): 2 read, 2 written; dropped: 0 missing or blank',
        '1 images without a part, 1 hidden files ignored',
        '2 objects, 2 names of parts; 48 and 44 are published for all splits together',
        '1 masks have values other than 0 and 255; all but 0 are part of the mask']
    paths = write_documents(documents, folder / 'out')
    assert [path.name for path in paths] == ['instructpart_test_task.json', 'instructpart_test_object.json']
    task, name = map(refs_of, paths)
    assert [(ref['ref_id'], ref['source']) for ref in task] == [
        (f'{CUP}:0', 'InstructPart wording 0'), (f'{CUP}:1', 'InstructPart wording 1'),
        (f'{LID}:0', 'InstructPart wording 0'), (f'{LID}:1', 'InstructPart wording 1')]
    assert [(ref['ref_id'], ref['expressions'], ref['super_category'], ref['part']) for ref in name] == [
        (f'{CUP}:4', ['handle of the coffee cup'], 'coffee cup', 'handle'),
        (f'{LID}:4', ['lid of the kettle'], 'kettle', 'lid')]
    first = documents['instructpart_test_task']
    assert [(each['area'], each['affordance'], each['action']) for each in first['annotations']] == [
        (6, 'hold', 'pick up'), (9, 'hold', 'pick up')]
    assert [(each['file_name'], each['height'], each['width']) for each in first['images']] == [
        (f'{CUP}.jpg', 6, 9), (f'{LID}.jpg', 6, 9)]


def test_the_chosen_wordings_are_converted(folder: Path) -> None:
    documents, _ = convert(folder, ENTRIES, 5, 2, 5)
    assert list(documents) == ['instructpart_test_object']
    assert [each['id'][-1] for each in documents['instructpart_test_object']['referring']] == ['2', '2', '5', '5']
    for wrong in ((6, ), (-1, ), ('4', )):
        with pytest.raises((ValueError, TypeError), match='wordings'):
            convert(folder, ENTRIES, *wrong)
    with pytest.raises(ValueError, match=r'wordings=\[\] should be some of 0 to 5'):
        convert_instructpart(folder, [])


def test_missing_and_blank_wordings_are_dropped_and_counted(folder: Path) -> None:
    entries = [entry('cup_1.jpg', item('coffee cup', 'handle', 'What to hold?', ' ')), ENTRIES[1]]
    documents, lines = convert(folder, entries)
    assert lines[1:4] == ['wording 0 (task, by people): 2 read, 2 written; dropped: 0 missing or blank',
                          'wording 1 (task, by GPT-4): 2 read, 1 written; dropped: 1 missing or blank',
                          'wording 4 (part): 2 read, 1 written; dropped: 1 missing or blank']
    assert len(documents['instructpart_test_task']['referring']) == 3


def test_the_last_of_several_items_with_the_same_files_is_used(folder: Path) -> None:
    """As the README's reader, which collects the items in a dict by file name."""
    twice = entry('cup_1.jpg', item('coffee_cup', 'handle', 'a', 'b', 'c', 'd', 'e', 'f'))
    documents, lines = convert(folder, [*ENTRIES, twice])
    assert lines[0].endswith('parts: 3 read, 2 written; dropped: 1 with the files of a later part, 0 with an empty '
                             'mask')
    assert [each['expressions'] for each in documents['instructpart_test_object']['referring']] == [
        ['e'], ['lid of the kettle']]


def test_empty_masks_and_other_sizes_are_counted(folder: Path) -> None:
    write_files(folder, CUP, values(0, 2))
    write_files(folder, LID, values(255, 2), (6, 8))
    documents, lines = convert(folder, ENTRIES)
    assert 'parts: 2 read, 1 written; dropped: 0 with the files of a later part, 1 with an empty mask' in lines[0]
    assert lines[-1] == '1 masks are of another size than their image, which ends a run that reads it'
    assert [each['id'] for each in documents['instructpart_test_task']['images']] == [LID]


def test_a_palette_mask_is_read_by_its_indices(folder: Path) -> None:
    image = Image.fromarray(values(1, 2)).convert('P')
    image.putdata(values(1, 2).flatten().tolist())
    image.putpalette([255, 255, 255, 0, 0, 0] + [0] * 762)
    image.save(folder / 'masks' / f'{CUP}.png')
    assert convert(folder, ENTRIES)[0]['instructpart_test_task']['annotations'][0]['area'] == 6


@pytest.mark.parametrize(('entries', 'message'), [
    ({}, r'data_test\.json is not a list of entries'),
    ([{'image_path': 'cup_1.jpg'}], "entry 0 has no 'part_list'"),
    ([entry('cup_1.jpg', item('coffee cup', 'handle') | {'instruction': 'hold'})],
     r"entry 0, part_list\[0\]: 'instruction' is a str, not list"),
    ([entry('cup_1.jpg', item('coffee cup', 'handle') | {'instruction': [1]})], "'instruction' has a value that is"),
    ([entry('cup_1.jpg', item('_', 'handle'))], "'object' or 'part' is blank"),
    ([entry('a/cup_1.jpg', item('coffee cup', 'handle'))], 'is not the name of a file in .*masks'),
    ([entry('cup_2.jpg', item('coffee cup', 'handle'))], r'masks/cup_2-coffee_cup-handle\.png does not exist'),
])
def test_faulty_entries_are_rejected(entries: object, message: str, folder: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        convert(folder, entries)


def test_missing_and_coloured_files_are_rejected(folder: Path) -> None:
    Image.fromarray(np.stack([values(9, 2), values(8, 2), values(7, 2)], axis=2)).save(folder / 'masks' / f'{CUP}.png')
    with pytest.raises(ValueError, match=r'handle\.png is not a mask: it has colours'):
        convert(folder, ENTRIES)
    write_files(folder, CUP, values(255, 2))
    (folder / 'images' / f'{CUP}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=rf'images/{CUP}\.jpg does not exist; unpack the whole archive'):
        convert(folder, ENTRIES)
    (folder / 'data_train.json').write_text('[]')
    with pytest.raises(ValueError, match=r'has data_test\.json and data_train\.json; remove all but one'):
        convert(folder, ENTRIES)
    with pytest.raises(FileNotFoundError, match=r'has no data_test\.json or the like'):
        convert_instructpart(folder / 'images')


def test_the_tool_writes_what_the_config_reads(folder: Path, convert_tool: Callable, build_config: Callable) -> None:
    convert(folder, ENTRIES)
    root = folder.parents[1]
    status, lines = convert_tool('instructpart', folder, '--out', root / 'instructpart', '--wordings', 0, 4)
    assert (status, lines[-2:]) == (0, [f'wrote {root}/instructpart/instructpart_test_task.json',
                                        f'wrote {root}/instructpart/instructpart_test_object.json'])
    dataset, = build_config('instructpart', root).values()
    assert dataset.get_data_info(0)['img_path'] == str(folder / 'images' / f'{CUP}.jpg')
    assert Path(dataset.get_data_info(0)['img_path']).is_file()
    train = folder.rename(folder.with_name('train600'))
    (train / 'data_test.json').rename(train / 'data_train.json')
    assert convert_tool('instructpart', train, '--out', root / 'train')[1][0].startswith('2 parts, but 600 are')
    assert (root / 'train' / 'instructpart_train600_task.json').is_file()
