"""The doctor finds no error exactly where the dataset loads, and what it repairs loads with everything usable."""
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_input import DOCUMENT, WITH_REFERRING, H, W, mutate, mutations
from hypothesis import HealthCheck, example, given, settings
from PIL import Image

from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.coco.finding_codes import ERROR
from mmpartref.datasets.coco.validate import CocoParts, validate
from mmpartref.datasets.transforms import LoadImage
from mmpartref.doctor import examine
from mmpartref.doctor.repair.write_repaired import repair
from mmpartref.errors import InputError

BOUNDED = settings(max_examples=250, deadline=None, derandomize=True, database=None,
                   suppress_health_check=list(HealthCheck))


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one split whose images exist; each test writes its json."""
    folder = tmp_path_factory.mktemp('agree')
    (folder / 'images/train/cars').mkdir(parents=True)
    (folder / 'annotations').mkdir()
    for number, name in enumerate(('a.png', 'cars/b.png', 'c.png')):
        content = io.BytesIO()
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (H, W, 3), dtype=np.uint8)).save(content, 'PNG')
        # Bytes after the end of an image do no harm.
        (folder / 'images/train' / name).write_bytes(content.getvalue() + b'more')
    return folder


def load(path: Path, images: Path) -> PartReferDataset | None:
    """Load a json and decode its images; None where either is rejected."""
    try:
        dataset = PartReferDataset(ann_file=str(path), data_prefix={'img': str(images)}, serialize_data=False)
        for index in range(len(dataset)):
            LoadImage()(dataset.get_data_info(index))
    except InputError:
        return None
    return dataset


def check(root: Path, document: dict) -> None:
    path, images = root / 'annotations/train.json', root / 'images/train'
    path.write_text(json.dumps(document))
    report = examine(root)
    errors = [finding for finding in report.findings if finding.severity == ERROR]
    assert (not errors) == (load(path, images) is not None), errors[:3]
    out = root / 'repaired'
    (split, ) = repair(root, out)
    assert (split.ann_file is None) == bool(split.errors)
    if split.ann_file is not None:
        before, after = CocoParts(), CocoParts()
        codes = {finding.code for finding in validate(document, parts=before)}
        assert not [finding for finding in validate(json.loads(split.ann_file.read_text()), parts=after)
                    if finding.severity == ERROR]
        repaired = PartReferDataset(ann_file=str(split.ann_file), serialize_data=False)
        assert len(repaired) > 0
        # A mask that was usable still is, unless it was there twice.
        duplicates = {'duplicate-annotation-id', 'duplicate-image-id', 'dangling-image-id'} & codes
        masks = [{(annotation.category_id, annotation.rle['counts'])
                  for image in parts.images for annotation in image.annotations} for parts in (before, after)]
        assert masks[0] <= masks[1] or duplicates or clipped(document)
        for file in (split.ann_file, split.log_file):
            file.unlink()


def clipped(document: dict) -> bool:
    """Return whether a polygon leaves its image, so that its corners at the border may move a pixel."""
    return any(max(ring[0::2]) > W or max(ring[1::2]) > H or min(ring) < 0 for record in document['annotations']
               if isinstance(record, dict) and isinstance(record.get('segmentation'), list)
               for ring in record['segmentation']
               if isinstance(ring, list) and len(ring) > 5 and set(map(type, ring)) <= {int, float})


@pytest.mark.slow
@BOUNDED
@given(mutations(DOCUMENT))
@example([(('annotations', 0, 'area'), 'replace', 0)])
@example([(('annotations', 0, 'segmentation', 0, 1), 'replace', True)])
@example([(('annotations', 0, 'segmentation', 0, 1), 'replace', -2**63)])
@example([(('images', 0, 'id'), 'replace', '1')])
@example([(('images', 2, 'id'), 'replace', 3)])
@example([(('images', 2, 'id'), 'replace', '1')])
@example([(('images', 0, 'file_name'), 'replace', './a.png')])
@example([(('images', 0, 'file_name'), 'replace', '../train/a.png')])
@example([(('images', 0, 'file_name'), 'replace', '..\\train\\a.png')])
@example([(('images', 0, 'file_name'), 'replace', 'http://localhost/a.png')])
@example([(('images', 0, 'width'), 'replace', 40000)])
@example([(('categories', 0, 'name'), 'replace', '___')])
@example([(('categories', 0, 'level'), 'replace', 'object')])
def test_the_doctor_agrees_with_the_dataset(root: Path, changes: list) -> None:
    document = copy.deepcopy(DOCUMENT)
    for change in changes:
        mutate(document, *copy.deepcopy(change))
    check(root, document)


@pytest.mark.slow
@BOUNDED
@given(mutations(WITH_REFERRING))
@example([(('referring', ), 'replace', 5)])
@example([(('referring', 0, 'image_id'), 'replace', 9)])
@example([(('referring', 0, 'ann_ids', 0), 'replace', 99)])
@example([(('referring', 1, 'id'), 'replace', 'r')])
@example([(('referring', 0, 'expressions', 0), 'replace', ' ')])
def test_the_doctor_agrees_on_expressions(root: Path, changes: list) -> None:
    document = copy.deepcopy(WITH_REFERRING)
    for change in changes:
        mutate(document, *copy.deepcopy(change))
    check(root, document)


def test_absolute_names_are_found(root: Path) -> None:
    document: dict[str, Any] = copy.deepcopy(DOCUMENT)
    document['images'][0]['file_name'] = str(root / 'images/train/a.png')
    check(root, document)
    assert not [finding for finding in examine(root).findings if finding.severity == ERROR]
