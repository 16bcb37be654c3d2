"""RefCOCOm: sentences, and masks in black and white."""
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.converters import convert_refcocom
from mmpartref.datasets.converters.standard_json import write_documents

IMAGE = 'COCO_train2014_000000000072.jpg'
FILES = [f'{split}_{what}' for split in ('val', 'testA', 'testB') for what in ('part_only', 'object_part')]
MISSING = ('5 of the 6 published files are not there: val_object_part, testA_part_only, testA_object_part, '
           'testB_part_only, testB_object_part')


def record(segment: Any, *texts: str, **more: Any) -> dict[str, Any]:
    return {'bbox': [0, 0, 2, 2], 'cat': 22, 'segment_id': segment, 'img_name': IMAGE, 'sentences_num': len(texts),
            'sentences': [{'idx': index, 'sent_id': 10 + index, 'sent': text} for index, text in enumerate(texts)],
            **more}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Masks as CRIS writes them (one channel), one of three channels, one that is empty, one of another size."""
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'annotations').mkdir()
    for name, shape in {'7': (6, 9), '8': (6, 9, 3), '9': (6, 9), '10': (9, 6)}.items():
        pixels = np.zeros(shape, np.uint8)
        if name != '9':
            pixels[:2, :3] = 255
        assert cv2.imwrite(str(tmp_path / 'masks' / f'{name}.png'), pixels)
    return tmp_path


def convert(root: Path, records: object, name: str = 'val_part_only') -> tuple[dict, list[str]]:
    (root / 'annotations' / f'{name}.json').write_text(json.dumps(records))
    return convert_refcocom(root)


def test_each_record_becomes_a_ref(root: Path) -> None:
    convert(root, [record(7, 'whole')], 'testA')
    documents, lines = convert(root, [record(7, 'left ear', 'ear on the left'), record('8', 'nose'), record(9, 'tail')])
    assert lines == [
        'testA: records: 1 read, 1 written; dropped: 0 with an empty mask; 1 expressions for 1 images',
        'val_part_only: records: 3 read, 2 written; dropped: 1 with an empty mask; 3 expressions for 1 images', MISSING]
    paths = write_documents(documents, root / 'out')
    assert [path.name for path in paths] == ['refcocom_testA.json', 'refcocom_val_part_only.json']
    entry = PartReferDataset(ann_file=str(paths[1])).get_data_info(0)
    assert (entry['img_path'], entry['height'], entry['width']) == (IMAGE, 6, 9)
    assert [(ref['ref_id'], ref['expressions'], ref['source'], int(coco_mask.area(ref['rles'][0])))
            for ref in entry['refs']] == [
        ('0', ['left ear', 'ear on the left'], 'RefCOCOm', 6), ('1', ['nose'], 'RefCOCOm', 6)]
    assert [(each['segment_id'], each['cat']) for each in documents['refcocom_val_part_only']['annotations']] == [
        (7, 22), ('8', 22)]


@pytest.mark.parametrize(('records', 'message'), [
    ({}, r'val_part_only\.json is not a list of records'),
    ([record(7, 'ear') | {'sentences': ['ear']}], r"record 0, sentences\[0\] has no 'sent'"),
    ([record(7, 'ear'), record(None, 'ear')], "record 1: 'segment_id' is None, not the name of a mask"),
    ([record(7, 'ear', img_name=3)], "record 0: 'img_name' is a int, not str"),
    ([record(7, 'ear'), record(10, 'ear')], r'record 1: its mask 10\.png is \(9, 6\) .*, but another of COCO_'),
])
def test_faulty_records_are_rejected(records: object, message: str, root: Path) -> None:
    with pytest.raises(ValueError, match=message):
        convert(root, records)


def test_faulty_and_missing_masks_are_rejected(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'masks/11\.png does not exist'):
        convert(root, [record(11, 'ear')])
    red = np.zeros((6, 9, 3), np.uint8) + np.array([0, 0, 255], np.uint8)
    grey = r'a pixel is neither black \(0\) nor white \(255, or 241 to 254 where'
    for pixels, message in ((np.full((6, 9), 128, np.uint8), grey), (np.full((6, 9), 240, np.uint8), grey),
                            (red, 'it has colours')):
        assert cv2.imwrite(str(root / 'masks' / '7.png'), pixels)
        with pytest.raises(ValueError, match=rf'7\.png is not a mask: {message}'):
            convert(root, [record(7, 'ear')])


def test_a_cut_json_and_an_empty_folder_are_rejected(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match='annotations has no json'):
        convert_refcocom(root)
    (root / 'annotations' / 'val.json').write_text('[{')
    with pytest.raises(ValueError, match=r'val\.json is not a complete json'):
        convert_refcocom(root)


def test_the_tool_writes_what_the_config_reads(root: Path, convert_tool: Callable, build_config: Callable) -> None:
    convert(root, [record(7, 'ear', 'left ear')])
    status, lines = convert_tool('refcocom', root, '--out', root / 'refcocom')
    assert (status, lines[-1]) == (0, f'wrote {root}/refcocom/refcocom_val_part_only.json')
    dataset, = build_config('refcocom', root).values()
    entry = dataset.get_data_info(0)
    assert (len(entry['refs']), entry['img_path']) == (2, f'{root}/coco/train2014/{IMAGE}')
    assert convert_tool('refcocom', root / 'masks', '--out', root / 'other')[0] == 2


def test_records_without_a_usable_sentence_are_dropped_and_counted(root: Path) -> None:
    documents, lines = convert(root, [record(7, 'ear'), record(7), record(8, ' '), record(8, 'nose', '')])
    assert [each['id'] for each in documents['refcocom_val_part_only']['referring']] == [0, 3]
    assert lines == ['val_part_only: records: 4 read, 2 written; dropped: 0 with an empty mask, 2 without a usable '
                     'sentence; 2 expressions for 1 images; dropped: 2 blank sentences', MISSING]


@pytest.mark.parametrize('segment', ['../masks/7', '/etc/passwd', '..', '.', 'a/b', 'a\\b', '', ' ', 'x\0y', 'x' * 300,
                                     'é' * 150, '\ud800'])
def test_a_segment_id_is_the_name_of_a_file(segment: str, root: Path) -> None:
    with pytest.raises(ValueError, match=r'record 1: .* is not the name of a file in .*masks') as error:
        convert(root, [record(7, 'ear'), record(segment, 'ear')])
    assert len(str(error.value)) < 400 + len(str(root))
    assert str(error.value).isprintable()


def palette_mask(path: Path, colours: list[int], index: int) -> None:
    """Write a palette image of 6 x 9 pixels, all 0 except for 2 x 3 pixels of an index."""
    pixels = np.zeros((6, 9), np.uint8)
    pixels[:2, :3] = index
    image = Image.fromarray(pixels).convert('P')
    image.putdata(pixels.flatten().tolist())
    image.putpalette(colours + [0] * (768 - len(colours)))
    image.save(path)


def test_a_palette_mask_is_read_by_its_colours(root: Path) -> None:
    palette_mask(root / 'masks' / '7.png', [0, 0, 0, 255, 255, 255], 1)
    documents, _ = convert(root, [record(7, 'ear')])
    annotation, = documents['refcocom_val_part_only']['annotations']
    assert (annotation['area'], annotation['bbox']) == (6, [0, 0, 3, 2])


@pytest.mark.parametrize('kind', ['palette', 'alpha', 'grey and alpha'])
def test_masks_that_look_empty_are_named(kind: str, root: Path) -> None:
    path = root / 'masks' / '7.png'
    if kind == 'palette':  # as of PASCAL VOC
        palette_mask(path, [0, 0, 0, 128, 0, 0], 1)
    else:
        pixels = np.zeros((6, 9, 4 if kind == 'alpha' else 2), np.uint8)
        pixels[:2, :3, -1] = 255
        Image.fromarray(pixels, 'RGBA' if kind == 'alpha' else 'LA').save(path)
    with pytest.raises(ValueError, match=r'7\.png is not a mask: '):
        convert(root, [record(7, 'ear')])


def test_a_flipped_bit_in_a_mask_is_detected(root: Path) -> None:
    path = root / 'masks' / '7.png'
    content = bytearray(path.read_bytes())
    content[content.index(b'IDAT') + 8] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'7\.png is not a complete image \(a wrong checksum at byte \d+\)'):
        convert(root, [record(7, 'ear')])


def test_hidden_files_are_ignored_and_counted(root: Path) -> None:
    (root / 'annotations' / '._val_part_only.json').write_bytes(b'\0\5\26\7')
    assert convert(root, [record(7, 'ear')])[1][-1] == '1 hidden files ignored'


@pytest.mark.parametrize(('overlaps', 'area', 'what'), [
    ('part', 9, 'part of the mask'), ('background', 4, 'background')])
def test_overlapping_rings_of_a_polygon(overlaps: str, area: int, what: str, root: Path,
                                        convert_tool: Callable) -> None:
    """Masks as two public programs write them.

    lichengunc/refer ``refer.py::getMask`` adds up a polygon's rings, and DerrickWang005/CRIS.pytorch
    ``tools/data_process.py::prepare_dataset`` multiplies the sum by 255 in 8 bits. CRIS's own evaluation
    (``engine/engine.py::inference``) takes every value but 0 for part; jdg900/MMR ``utils/dataset.py::ValDataset``
    divides by 255 and cuts the decimals, so that lower values are background.
    """
    rings = np.zeros((6, 9), np.uint8)
    rings[0, :4] = 1
    rings[1, :3], rings[2, :2] = 2, 3
    summed = rings * np.uint8(255)
    assert np.unique(summed).tolist() == [0, 253, 254, 255]
    assert cv2.imwrite(str(root / 'masks' / '7.png'), summed)
    convert(root, [record(7, 'ear'), record(8, 'nose'), record(7, 'left ear')])
    status, lines = convert_tool('refcocom', root, '--out', root / 'refcocom', '--overlaps', overlaps)
    assert (status, lines[1]) == (0, 'val_part_only: 1 masks have 5 pixels of the values 241 to 254, where polygon '
                                     f'rings overlap; they are {what}')
    annotations = json.loads((root / 'refcocom/refcocom_val_part_only.json').read_text())['annotations']
    assert [each['area'] for each in annotations] == [area, 6, area]
    seen_by_mmr = int((summed / 255).astype(int).sum())
    assert seen_by_mmr == 4


def test_the_six_published_files_are_the_two_tables_of_three_splits(root: Path, build_config: Callable) -> None:
    """Each is a json for the config, with the mean over its own sentences."""
    for name in FILES:
        convert(root, [record(7, 'ear', 'left ear')], name)
    documents, lines = convert_refcocom(root)
    assert list(documents) == [f'refcocom_{name}' for name in sorted(FILES)]
    assert len(lines) == len(FILES)
    write_documents(documents, root / 'refcocom')
    assert list(build_config('refcocom', root)) == ['refcocom/refcocom_val_part_only.json']


def test_another_rule_for_overlaps_is_rejected(root: Path) -> None:
    with pytest.raises(ValueError, match=r"overlaps='both' is unknown; choose one of \('part', 'background'\)"):
        convert_refcocom(root, 'both')
