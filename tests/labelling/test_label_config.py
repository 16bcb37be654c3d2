"""Labelling configs of Label Studio, and what a request asks for."""
import tracemalloc

import numpy as np
import pytest

from mmpartref.apis.formats.labelled_masks import FormatOptions, LabelledMask
from mmpartref.errors import InputError
from mmpartref.labelling.label_config import LabelConfig, read_label_config
from mmpartref.labelling.label_query import MAX_EXPRESSIONS, query_of
from mmpartref.masks.outlines import nearest_component

POLYGONS = ('<PolygonLabels name="label" toName="image"><Label value="car_tire"/><Label value="Car Door"/>'
            '</PolygonLabels>')
BRUSHES = '<BrushLabels name="brush" toName="image"><Label value="T" alias="car tire"/></BrushLabels>'
IMAGE = '<Image name="image" value="$photo"/>'


def config(*parts: str) -> str:
    return f'<View>{"".join(parts)}</View>'


def test_the_first_mask_tag_of_an_image_counts():
    found = read_label_config(config(IMAGE, BRUSHES, POLYGONS))
    assert found == LabelConfig('photo', 'image', 'polygonlabels', 'label', ('car_tire', 'Car Door'))
    found = read_label_config(config(IMAGE, '<!-- a note --><Header value="h"/>', BRUSHES))
    assert found == LabelConfig('photo', 'image', 'brushlabels', 'brush', ('car tire', ))
    # Tags and attributes in any case; labels of other tags are not the masks'.
    found = read_label_config('<view><IMAGE NAME="i" VALUE="$x"/><polygonlabels Name="l" toname="i"><label Value="a"/>'
                              '</polygonlabels><RectangleLabels name="r" toName="i"><Label value="b"/>'
                              '</RectangleLabels></view>')
    assert found == LabelConfig('x', 'i', 'polygonlabels', 'l', ('a', ))


@pytest.mark.parametrize(('text', 'message'), [
    (None, 'must be a text'), ({}, 'must be a text'), ('x' * 2**21, 'must be a text'),
    ('', 'XML'), ('<View>', 'XML'), ('\ud800', 'XML'), ('<a>' * 100_000, 'XML'),
    ('<!DOCTYPE a><View/>', 'XML'),
    ('<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;&b;">]><View>&d;</View>', 'XML'),
    ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><View>&b;</View>', 'XML'),
    ('<!DOCTYPE a SYSTEM "http://evil.example/a.dtd"><View/>', 'XML'),
    (config(IMAGE), 'PolygonLabels or BrushLabels'),
    (config(IMAGE, '<PolygonLabels name="l" toName="other"/>'), 'PolygonLabels or BrushLabels'),
    (config('<Image value="$a"/>', POLYGONS.replace(' toName="image"', '')), 'PolygonLabels or BrushLabels'),
    (config(IMAGE, POLYGONS.replace(' name="label"', '')), 'PolygonLabels or BrushLabels'),
    (config(IMAGE, POLYGONS.replace('Car Door', 'car tire')), 'are the same expression'),
    (config('<Image name="image" value="$a[0]"/>', POLYGONS), 'one image per task'),
    (config('<Image name="image" valueList="$photos"/>', POLYGONS), 'one image per task'),
    (config('<Image name="image" value="http://a/b.jpg"/>', POLYGONS), 'one image per task'),
])
def test_other_configs_are_a_sentence(text, message):
    with pytest.raises(InputError, match=message):
        read_label_config(text)


@pytest.mark.parametrize(('expression', 'label'), [
    ('car_tire', 'car_tire'), ('car tire', 'car_tire'), ('the tire of the car', 'car_tire'),
    ("the car's Tire", 'car_tire'), ('CAR DOOR', 'Car Door'), ('tire', None), ('car tire tire', None), ('bird', None),
])
def test_an_expression_has_the_label_with_its_words(expression, label):
    assert read_label_config(config(IMAGE, POLYGONS)).label_of(expression) == label


def test_the_order_of_words_decides_between_labels():
    labels = ('right of left wing', 'left of right wing')
    parts = ''.join(f'<Label value="{each}"/>' for each in labels)
    found = read_label_config(config(IMAGE, f'<PolygonLabels name="l" toName="image">{parts}</PolygonLabels>'))
    assert [found.label_of(each) for each in labels] == list(labels)


def test_another_expression_than_the_only_label_has_none():
    assert read_label_config(config(IMAGE, BRUSHES)).label_of('the mirror') is None


def region(kind: str, **value) -> dict:
    return {'type': kind, 'value': value, 'from_name': 'a', 'to_name': 'image', 'id': 'x'}


def test_what_is_asked_for():
    labels = read_label_config(config(IMAGE, POLYGONS))
    assert query_of(labels, None).expressions == {'car tire': 'car_tire', 'Car Door': 'Car Door'}
    typed = region('textarea', text=['first', ' the tire of the car '])
    assert query_of(labels, {'result': [typed]}).expressions == {'the tire of the car': 'car_tire'}
    point = region('keypointlabels', x=10, y=20.5, width=0.3, keypointlabels=['Car Door'])
    query = query_of(labels, {'result': [typed, point]})
    assert (query.expressions, query.place) == ({'Car Door': 'Car Door'}, (10, 20.5))
    box = region('rectanglelabels', x=10, y=20, width=30, height=40, rectanglelabels=['car_tire'])
    query = query_of(labels, {'result': [box]})
    assert (query.expressions, query.place) == ({'car tire': 'car_tire'}, (10, 20, 30, 40))
    # A region without a label does not hide what was typed before.
    assert query_of(labels, {'result': [typed, region('keypointlabels', x=1, y=1)]}).expressions == {
        'the tire of the car': 'car_tire'}


@pytest.mark.parametrize(('context', 'message'), [
    ([], 'must be an object'), ({}, 'must be an object'), ({'result': {}}, 'must be an object'),
    ({'result': [1]}, 'must be an object'), ({'result': []}, 'no expression'),
    ({'result': [{'value': {}}]}, "no 'type'"), ({'result': [{'type': 'textarea', 'value': []}]}, "no 'type'"),
    ({'result': [region('textarea', text=[])]}, 'no expression'),
    ({'result': [region('textarea', text=' ')]}, 'no expression'),
    ({'result': [region('textarea', text=['\u200b', 3])]}, 'no expression'),
    ({'result': [region('textarea', text=['a' * 201])]}, '201 characters'),
    ({'result': [region('textarea', text=['a\ud800'])]}, 'surrogate'),
    ({'result': [region('keypointlabels', x=111, y=0, keypointlabels=['a'])]}, 'from -10 to 110'),
    ({'result': [region('keypointlabels', x=float('nan'), y=0, keypointlabels=['a'])]}, 'from -10 to 110'),
    ({'result': [{**region('keypointlabels', x=1, y=0, keypointlabels=['a']), 'is_positive': False}]}, 'negative'),
    ({'result': [region('rectanglelabels', x=1, y=0, width=3, height=2, rotation=5, rectanglelabels=['a'])]},
     'rotated'),
    ({'result': [region('choices', choices=['bad image'])]}, 'no expression'),
    ({'result': [region('keypointlabels', x='1', y=0, keypointlabels=['a'])]}, 'should be a number'),
    ({'result': [region('rectanglelabels', x=1, y=0, width=True, height=2, rectanglelabels=['a'])]}, 'should be a num'),
])
def test_other_contexts_are_a_sentence(context, message):
    with pytest.raises((InputError, TypeError), match=message):
        query_of(read_label_config(config(IMAGE, POLYGONS)), context)


def test_a_config_without_labels_needs_an_expression():
    labels = read_label_config(config(IMAGE, '<PolygonLabels name="l" toName="image"/>'))
    with pytest.raises(InputError, match='no Label'):
        query_of(labels, None)
    assert query_of(labels, {'result': [region('textarea', text=['car'])]}).expressions == {'car': None}
    many = ''.join(f'<Label value="{number}"/>' for number in range(MAX_EXPRESSIONS + 1))
    with pytest.raises(InputError, match='202 labels'):
        query_of(read_label_config(config(IMAGE, POLYGONS.replace('<Label value="Car Door"/>', many))), None)


def masks_of(mask: np.ndarray, instances=None) -> list[LabelledMask]:
    return [LabelledMask('Car Door', mask, 0.5, 0, instances)]


def test_a_click_chooses_the_nearest_piece_and_a_box_what_is_inside():
    labels = read_label_config(config(IMAGE, POLYGONS))
    mask = np.zeros((50, 100), bool)
    mask[10:20, 10:20] = mask[10:20, 60:80] = True
    mask[40, 50] = True  # below the smallest area
    options = FormatOptions('components')
    for (x, y), columns in {(15, 30): (10, 20), (41, 0): (60, 80), (36, 90): (10, 20), (100, 100): (60, 80),
                            (100.01, -0.01): (60, 80)}.items():
        point = region('keypointlabels', x=x, y=y, keypointlabels=['Car Door'])
        chosen, = query_of(labels, {'result': [point]}).at_place(masks_of(mask), options)
        assert np.array_equal(np.flatnonzero(chosen.mask.any(axis=0)), np.arange(*columns))
    box = region('rectanglelabels', x=65, y=0, width=35, height=30, rectanglelabels=['Car Door'])
    query = query_of(labels, {'result': [box]})
    chosen, = query.at_place(masks_of(mask), options)
    assert chosen.mask.sum() == 5 * 15
    assert chosen.mask[10:15, 65:80].all()
    assert query.at_place(masks_of(np.zeros((50, 100), bool)), options) == []
    specks = np.zeros((50, 100), bool)
    specks[5, ::2] = True
    assert query_of(labels, {'result': [point]}).at_place(masks_of(specks), options) == []


def test_a_click_chooses_an_instance_of_a_detector():
    labels = read_label_config(config(IMAGE, POLYGONS))
    left, right = np.zeros((2, 10, 100), bool)
    left[:, :30] = right[:, 20:] = True
    point = region('keypointlabels', x=90, y=50, keypointlabels=['Car Door'])
    chosen, = query_of(labels, {'result': [point]}).at_place(
        masks_of(left | right, [(left, 0.9), (right, 0.4)]), FormatOptions('components'))
    assert np.array_equal(chosen.mask, right)
    assert chosen.score == 0.4


def test_a_click_in_a_mask_of_many_pieces_needs_little_memory():
    noise = np.random.default_rng(0).random((600, 800)) > 0.7
    tracemalloc.start()
    piece = nearest_component(noise, (400, 300))
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert 0 < piece.sum() < noise.sum()


def test_a_chosen_label_becomes_one_of_the_masks_tag():
    labels = read_label_config(config(IMAGE, POLYGONS))
    for chosen, label in {'Car_Tire': 'car_tire', 'tire of the car': 'car_tire', 'bird': None}.items():
        point = region('keypointlabels', x=1, y=1, keypointlabels=[chosen])
        assert list(query_of(labels, {'result': [point]}).expressions.values()) == [label]
