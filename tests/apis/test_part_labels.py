import io

import numpy as np
import pytest
from PIL import Image

from mmpartref.apis import DecodedImage, PartLabels
from mmpartref.apis.part_labels import merge_masks, parts_of
from mmpartref.datasets.partimagenet.partimagenet_names import PARTS

EXPRESSIONS = ['car body', 'car side mirror']


def test_each_pixel_gets_its_most_probable_part(cris, image):
    found = cris.parse_parts(image, 'car')
    expressions = ['car body', 'car tire', 'car side mirror']
    assert found.names == ('background', *expressions)
    assert found.labels.shape == found.size == (50, 70)
    assert found.labels.dtype == np.uint8
    heat = np.stack([each.heat_map for each in cris(image, expressions, heat_map=True)])
    expected = np.where(heat.max(axis=0) > cris.model.decode.threshold, 1 + heat.argmax(axis=0), 0)
    assert (found.labels != expected).mean() < 0.002
    assert len(np.unique(found.labels)) > 2
    assert (found.labels == 0).any()


@pytest.mark.full_mmcv
def test_a_detectors_parts_are_where_its_masks_are(detector, image):
    found = detector.parse_parts(image, expressions=EXPRESSIONS)
    masks = np.stack([each.mask for each in detector(image, EXPRESSIONS)])
    # Two forward passes: on some processors a pixel at the threshold of a mask changes.
    assert ((found.labels > 0) != masks.any(axis=0)).mean() < 0.002
    for label in (1, 2):
        assert (~masks[label - 1][found.labels == label]).sum() < 0.002 * found.labels.size
        assert (found.labels == label).any()


def test_many_images_are_parsed_in_batches(cris, image):
    images = [image, image[:30], image[:, ::-1]]
    found = cris.parse_parts(images, expressions=EXPRESSIONS, batch_size=2)
    assert [each.size for each in found] == [(50, 70), (30, 70), (50, 70)]
    for image, each in zip(images, found, strict=True):
        assert (cris.parse_parts(image, expressions=EXPRESSIONS).labels != each.labels).mean() < 0.002


def test_bad_calls_raise_errors(cris, image):
    with pytest.raises(ValueError, match="'chair' is not one of PartImageNet's super-categories, quadruped, biped"):
        cris.parse_parts(image, 'chair')
    for wrong in ({}, {'super_category': 'car', 'expressions': EXPRESSIONS}):
        with pytest.raises(ValueError, match='give either a super-category'):
            cris.parse_parts(image, **wrong)
    with pytest.raises(ValueError, match='each once'):
        cris.parse_parts(image, expressions=['car body', 'car body'])
    with pytest.raises(ValueError, match='at most 255 parts'):
        cris.parse_parts(image, expressions=[f'part {number}' for number in range(256)])
    with pytest.raises(ValueError, match='one or more non-empty strings'):
        cris.parse_parts(image, expressions=[])


def test_overlaps_go_to_the_highest_score_and_ties_to_the_first():
    masks = np.array([[1, 1, 0, 1, 0]], bool), np.array([[1, 1, 1, 1, 0]], bool)
    heats = np.array([[.9, .4, .9, .6, 1]], np.float32), np.array([[.8, .7, .6, .6, 1]], np.float32)
    assert merge_masks(masks, heats, (1, 5)).tolist() == [[1, 2, 2, 1, 0]]
    # A mask may cover what its heat map calls 0.
    assert merge_masks([np.ones((1, 1), bool)], [np.zeros((1, 1), np.float32)], (1, 1)).tolist() == [[1]]


@pytest.mark.parametrize('owner', PARTS)
def test_every_super_category_has_its_parts(owner):
    parts = parts_of(owner)
    assert len(parts) == len(PARTS[owner])
    assert all(part.startswith(owner.lower() + ' ') for part in parts)
    assert not any('tier' in part for part in parts)
    assert parts_of(f' {owner.upper()} ') == parts


@pytest.fixture
def labels() -> PartLabels:
    """The left third is a head, the middle one background, the right one a tail."""
    numbers = np.zeros((40, 60), dtype=np.uint8)
    numbers[:, :20], numbers[:, 40:] = 1, 2
    return PartLabels(DecodedImage(np.full((40, 60, 3), 255, np.uint8), 'x'), numbers, ['dog head', 'dog tail'])


def test_label_files_describe_their_format(labels):
    assert labels.palette.shape == (3, 3)
    assert labels.palette.dtype == np.uint8
    assert labels.palette[0].tolist() == [0, 0, 0]
    assert len(np.unique(labels.palette, axis=0)) == 3
    assert np.array_equal(labels.mask('dog tail'), labels.labels == 2)
    with pytest.raises(ValueError, match="'dog foot' was not predicted; choose from background, dog head, dog tail"):
        labels.mask('dog foot')
    assert repr(labels) == 'PartLabels(background 33.3%, dog head 33.3%, dog tail 33.3%)'


def test_labels_as_a_picture_keep_their_numbers(labels):
    file = io.BytesIO()
    labels.as_image().save(file, 'PNG')
    again = Image.open(file)
    assert again.mode == 'P'
    assert np.array_equal(np.array(again), labels.labels)
    assert np.array_equal(np.array(again.convert('RGB')), labels.palette[labels.labels])


def test_labels_draw_themselves(labels):
    shown = Image.open(io.BytesIO(labels._repr_png_()))
    assert shown.size == (60, 40)
    assert labels.overlay(30).size == (30, 20)
    pixels = np.array(shown).astype(int)
    for label, third in ((1, np.s_[:, :20]), (2, np.s_[:, 40:])):
        painted = np.abs(pixels - (255 + 0.45 * (labels.palette[label].astype(int) - 255))).max(axis=2) < 2
        assert painted[third].sum() > 50
        # A smooth line may happen on the same colour.
        assert painted[third].sum() > 0.95 * painted.sum()
