import pytest

from mmpartref.datasets.coco.records import Category, PartName
from mmpartref.datasets.referring.expressions import check_templates, name_categories, render, split_category


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
    assert split_category(name, owner) == expected


@pytest.mark.parametrize(('owner', 'expected'), [('car', ('car', 'wheel')), ('OBJECT', ('', 'wheel'))])
def test_a_category_may_say_its_part_in_words(owner: str, expected: tuple[str, str]) -> None:
    assert split_category('car_(automobile):wheel', owner, ' Wheel') == expected


def test_template_fields() -> None:
    name = PartName('quadruped', 'head')
    assert render('the {part} of the {class_name}', name, 'golden retriever') == 'the head of the golden retriever'
    assert render('the {part} of the {class_name}', name, None) == 'the head of the quadruped'
    assert render('{super_category} {part}', name, 'golden retriever') == 'quadruped head'


def test_missing_super_category_is_left_out_or_refused_but_never_a_hole() -> None:
    wheel = PartName('', 'wheel')
    assert render('{super_category} {part}', wheel, None) == 'wheel'
    assert render('a {part}', wheel, None) == 'a wheel'
    for template in ('the {part} of the {super_category}', 'the {part} of the {class_name}'):
        with pytest.raises(ValueError, match=r"category 'wheel'.*supercategory"):
            render(template, wheel, None)


@pytest.mark.parametrize('template', ['{colour} {part}', '{}', '{part.upper}', '{0}'])
def test_unknown_field_names_the_allowed_ones(template: str) -> None:
    with pytest.raises(ValueError, match=r'unknown field.*\{super_category\}, \{part\}, \{class_name\}'):
        check_templates([template])


@pytest.mark.parametrize('templates', ['{part}', [], [3]])
def test_templates_are_a_list_of_strings(templates: object) -> None:
    with pytest.raises(ValueError, match='should be a list of at least one string'):
        check_templates(templates)  # type: ignore[arg-type]


def test_unbalanced_brace_is_explained() -> None:
    with pytest.raises(ValueError, match=r"template '\{part' cannot be read"):
        check_templates(['{part'])


def test_two_categories_of_one_meaning_are_refused() -> None:
    categories = {3: Category(3, 'Car Wheel', 'Car'), 7: Category(7, 'wheel', 'car')}
    with pytest.raises(ValueError, match=r"x\.json: categories 3 .* and 7 .* both mean 'car wheel'"):
        name_categories('x.json', categories, lambda each: split_category(each.name, each.super_category))


def test_one_part_name_under_two_super_categories_is_two_parts() -> None:
    categories = {3: Category(3, 'Wheel', 'Car'), 7: Category(7, 'Wheel', 'Bicycle')}
    names = name_categories('x.json', categories, lambda each: split_category(each.name, each.super_category))
    assert names == {3: ('car', 'wheel'), 7: ('bicycle', 'wheel')}
