import pytest

from mmpartref.datasets.partimagenet.partimagenet_names import CATEGORY_NAMES
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import partimagenet_names
from mmpartref.models.detectors.category_vocabulary import CategoryVocabulary, PartCategory, with_plurals
from mmpartref.models.detectors.coco_objects import COCO_CLASSES, COCO_OF_SUPER_CATEGORY, coco_labels

NAMES = partimagenet_names()


@pytest.fixture(scope='module')
def vocabulary() -> CategoryVocabulary:
    """PartImageNet's 40 categories."""
    return CategoryVocabulary([PartCategory(name, *NAMES[name.lower()]) for name in CATEGORY_NAMES])


@pytest.mark.parametrize('name', CATEGORY_NAMES)
def test_every_category_is_found_by_its_name(vocabulary, name):
    meaning = NAMES[name.lower()]
    expected = CATEGORY_NAMES.index(name)
    assert vocabulary.label_of(*meaning) == expected
    for text in (f'{meaning.super_category} {meaning.part}', f'The {meaning.part} of the {meaning.super_category}!',
                 f'{meaning.part.upper()} ({meaning.super_category})'):
        assert vocabulary.find(text) == expected, text


@pytest.mark.parametrize(('text', 'category'), [
    ('the tail of the dog', 'Quadruped Tail'),
    ('golden retriever head', 'Quadruped Head'),
    ('the head of the tiger shark', 'Fish Head'),
    ('paws of a tiger', 'Quadruped Foot'),
    ('feet of the gorilla', 'Biped Foot'),
    ('go-kart wheel', 'Car Tier'),
    ('left tyre of the truck', 'Car Tier'),
    ('mirror of the jeep', 'Car Side Mirror'),
    ('side mirror', 'Car Side Mirror'),
    ('the sail', 'Boat Sail'),
    ('handlebar of the motor scooter', 'Bicycle Head'),
    ('wings of the airliner', 'Aeroplane Wing'),
    ("the bird's wing", 'Bird Wing'),
])
def test_other_words_are_understood(vocabulary, text, category):
    assert vocabulary.categories[vocabulary.find(text)].name == category


@pytest.mark.parametrize('text', ['', 'head', 'the wing', 'snake foot', 'a chair leg', 'carpet body part', 'dog',
                                  'quadruped', 'headlight of the moon', '🚗'])
def test_texts_without_a_single_category_are_unknown(vocabulary, text):
    assert vocabulary.find(text) is None


def test_the_longest_name_counts_and_equals_go_by_order():
    words = CategoryVocabulary([PartCategory('a', 'face', 'eye'), PartCategory('b', 'face', 'left eye'),
                                PartCategory('c', 'face', 'lip'), PartCategory('d', '', 'rim')], {}, {})
    assert words.find('face left eye') == 1
    assert words.find('the lip and the eye of a face') == 2
    assert words.find('the eye and the lip of a face') == 0
    assert words.find('rim') == 3
    assert words.find('trim') is None


def test_plurals():
    assert with_plurals(['side mirror', 'foot', 'body', 'bus', 'toy']) == [
        'side mirror', 'side mirrors', 'foot', 'feet', 'body', 'bodies', 'bus', 'buses', 'toy', 'toys']


def test_cocos_objects_map_to_super_categories(vocabulary):
    assert len(COCO_CLASSES) == 80
    assert set(COCO_OF_SUPER_CATEGORY) == {each.super_category for each in vocabulary.categories}
    assert [COCO_CLASSES[label] for label in coco_labels('car')] == ['car', 'bus', 'truck']
    assert coco_labels('snake') == []
    assert [COCO_CLASSES[label] for label in coco_labels('chair')] == ['chair']
    assert coco_labels('face') == []
    assert vocabulary.find_objects('tail of the police van') == ['car']
    assert vocabulary.find_objects('nothing known') == []
