"""Entry steps of a dataset: built by name, changed one by one, added by third parties."""
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpartref.datasets import EntryStep, PartReferDataset
from mmpartref.datasets.coco.records import Image
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.referring.names import Names
from mmpartref.registry import DATASETS, ENTRY_STEPS

Write = Callable[[dict], str]


def refs_of(dataset: PartReferDataset) -> list[dict]:
    return [ref for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']]


class Loudly(EntryStep):
    """Writes expressions in capitals, and adds the epoch and the number of categories to each entry."""

    def __init__(self, mark: str = '!') -> None:
        self.mark = mark

    def prepare(self, document: CocoParts, names: Names) -> None:
        self.categories = len(names.categories)

    def apply(self, image: Image, refs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**ref, 'expressions': [text.upper() + self.mark for text in ref['expressions']]} for ref in refs]

    def plan(self, image: Image, refs: list[dict[str, Any]]) -> dict[str, Any]:
        return {'width': image.width}

    def draw(self, entry: dict[str, Any], plan: dict[str, Any], epoch: int) -> None:
        entry['drawn'] = (self.categories, plan['width'], epoch)

    def metainfo(self) -> dict[str, Any]:
        return {'loud': self.mark}


@pytest.fixture
def loudly() -> Any:
    ENTRY_STEPS.register_module(module=Loudly)
    yield
    ENTRY_STEPS.module_dict.pop('Loudly')


@pytest.mark.usefixtures('loudly')
@pytest.mark.parametrize('group_by', ['image', 'expression'])
def test_a_third_party_adds_a_step(group_by: str, coco: dict, write: Write) -> None:
    dataset = PartReferDataset(ann_file=write(coco), group_by=group_by, entries={'loudly': {'type': 'Loudly'}})
    assert [ref['expressions'] for ref in refs_of(dataset)] == [['CAR WHEEL!'], ['CAR HOOD!'], ['BIRD HEAD!']]
    dataset.set_epoch(4)
    assert [dataset.get_data_info(index)['drawn'] for index in range(len(dataset))] == [(3, 30, 4)] * len(dataset)
    assert dataset.metainfo['loud'] == '!'


@pytest.mark.usefixtures('loudly')
def test_a_child_config_changes_one_key(coco: dict, write: Write) -> None:
    base = Config({'dataset': {'type': 'PartReferDataset', 'ann_file': write(coco), 'entries': {
        'expressions': {'templates': ['the {part}']}, 'loudly': {'type': 'Loudly'}}}})

    def load(**changes: Any) -> PartReferDataset:
        child = Config(base._cfg_dict.to_dict())
        child.merge_from_dict({f'dataset.entries.{key}': value for key, value in changes.items()})
        with DefaultScope.overwrite_default_scope('mmpartref'):
            return DATASETS.build(child.dataset)

    def texts(dataset: PartReferDataset) -> list[str]:
        return [ref['expressions'][0] for ref in refs_of(dataset)]

    assert texts(load()) == ['THE WHEEL!', 'THE HOOD!', 'THE HEAD!']
    assert texts(load(loudly=None)) == ['the wheel', 'the hood', 'the head']
    assert texts(load(**{'loudly.mark': '?'})) == ['THE WHEEL?', 'THE HOOD?', 'THE HEAD?']
    assert texts(load(objects={}, loudly=None)) == ['the wheel', 'the hood', 'the car', 'the head', 'the bird']
    assert len(texts(load(**{'absent.number': 1}))) == 5


@pytest.mark.parametrize(('entries', 'error', 'message'), [
    ({'absnet': {'number': 1}}, ValueError, "absnet=.* is not one of protocol, expressions, .* correct its name"),
    ({'absent': 1}, TypeError, 'absent=1 should be a dict of arguments, or None'),
    ([], TypeError, 'should be a dict of steps'),
    ({'absent': {'nunber': 1}}, TypeError, 'nunber'),
    ({'negatives': {'number': 0}}, ValueError, 'negatives.number=0 must be at least 1'),
    ({'negatives': {'number': '1'}}, TypeError, "^negatives.number='1' should be an integer"),
    ({'negatives': {}}, TypeError, "negatives=.* cannot be built: .*number"),
    ({'objects': {'x': 1}}, TypeError, 'objects=.* cannot be built'),
    ({'absent': {'number': '1'}}, ValueError, "number='1' should be positive"),
    ({'absent': {'possible': [(1, 2)]}}, ValueError, 'should be pairs'),
    ({'mine': {'type': 'NoSuch'}}, ValueError, "mine has the type 'NoSuch', which is not registered"),
])
def test_wrong_entries_are_rejected(entries: Any, error: type, message: str, coco: dict, write: Write) -> None:
    with pytest.raises(error, match=message):
        PartReferDataset(ann_file=write(coco), entries=entries, lazy_init=True)


@pytest.mark.parametrize('subset', [False, True])
def test_a_dataset_is_freed_with_its_last_reference(subset: bool, coco: dict, write: Write) -> None:
    dataset = PartReferDataset(ann_file=write(coco), entries={'absent': {}, 'labels': {}, 'objects': {}})
    alive = weakref.ref(dataset)
    if subset:
        dataset.get_subset(1)
    del dataset
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(('name', 'value', 'place'), [
    ('templates', ['{part}'], r"entries=dict\(expressions=dict\(templates=\['\{part\}'\]\)\)"),
    ('instances', 'object', r"entries=dict\(expressions=dict\(instances='object'\)\)"),
    ('absent', {'number': 1}, r"entries=dict\(absent=\{'number': 1\}\)"),
    ('protocol', {'name': 'x'}, r"entries=dict\(protocol=\{'name': 'x'\}\)"),
    ('kinds', ['other'], r"entries=dict\(absent=dict\(kinds=\['other'\]\)\)"),
])
def test_arguments_of_steps_are_named_in_their_place(name: str, value: Any, place: str, coco: dict,
                                                     write: Write) -> None:
    with pytest.raises(TypeError, match=f"PartReferDataset has no argument '{name}', .*: write {place}"):
        PartReferDataset(ann_file=write(coco), **{name: value})


def test_negatives_need_negatives(coco: dict, write: Write) -> None:
    with pytest.raises(ValueError, match="has no 'neg_category_ids', which negatives needs"):
        PartReferDataset(ann_file=write(coco), entries={'negatives': {'number': 1}})


@pytest.mark.parametrize('prefix', ['images', ['images'], {'img_path': 'x'}])
def test_data_prefix_is_a_dict(prefix: Any, coco: dict, write: Write) -> None:
    with pytest.raises(ValueError, match=r"data_prefix=.* should be dict\(img='folder of the images'\)"):
        PartReferDataset(ann_file=write(coco), data_prefix=prefix)


def test_without_any_step_nothing_is_left(coco: dict, write: Write) -> None:
    with pytest.raises(ValueError, match=r'no annotated part is left: .*; the entry steps were $'):
        PartReferDataset(ann_file=write(coco), entries={'expressions': None})
