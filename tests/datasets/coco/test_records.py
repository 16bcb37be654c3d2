"""Meaning of category names."""
from collections.abc import Callable

import pytest

from mmpartref.datasets.coco.read_coco import read_names
from mmpartref.datasets.coco.records import Category, split_category


@pytest.mark.parametrize(('name', 'owner', 'expected'), [
    ('Quadruped Head', 'Quadruped', ('quadruped', 'head')),
    ('Swivel Chair Back', 'Swivel Chair', ('swivel chair', 'back')),
    ('Computer Computer Case', 'Computer', ('computer', 'computer case')),
    ('Carpet', 'Car', ('car', 'carpet')),
    ('left_hand', 'Person', ('person', 'left hand')),
    ('car:wheel', 'car', ('car', 'wheel')),
    ('Seat', 'Swivel Chair', ('swivel chair', 'seat')),
    ('Handle', None, ('', 'handle')),
    ('Handle', '', ('', 'handle')),
    ('Handle', 'None', ('', 'handle')),
    ('Bottle', 'bottle', ('', 'bottle')),
    ('  Car   Side Mirror ', 'CAR', ('car', 'side mirror')),
])
def test_part_is_the_name_without_its_super_category(name: str, owner: str | None, expected: tuple[str, str]) -> None:
    assert split_category(Category(1, name, owner)) == expected


@pytest.mark.parametrize(('owner', 'expected'), [('car', ('car', 'wheel')), ('OBJECT', ('', 'wheel'))])
def test_a_category_may_name_its_part_explicitly(owner: str, expected: tuple[str, str]) -> None:
    assert split_category(Category(1, 'car_(automobile):wheel', owner, ' Wheel')) == expected


def test_two_categories_of_one_meaning_are_rejected(write: Callable[[dict], str]) -> None:
    path = write({'images': [], 'annotations': [], 'categories': [
        {'id': 3, 'name': 'Car Wheel', 'supercategory': 'Car'}, {'id': 7, 'name': 'wheel', 'supercategory': 'car'}]})
    with pytest.raises(ValueError, match=r"category 7: it \('wheel'\) and category 3 .* both mean 'car wheel'"):
        read_names(path)


def test_one_part_name_under_two_super_categories_is_two_parts(write: Callable[[dict], str]) -> None:
    path = write({'images': [], 'annotations': [], 'categories': [
        {'id': 3, 'name': 'Wheel', 'supercategory': 'Car'}, {'id': 7, 'name': 'Wheel', 'supercategory': 'Bicycle'}]})
    assert read_names(path).names == {3: ('car', 'wheel'), 7: ('bicycle', 'wheel')}
