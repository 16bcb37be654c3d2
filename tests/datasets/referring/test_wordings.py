import pytest

from mmpartref.datasets.coco.records import PartName
from mmpartref.datasets.referring.wordings import check_templates, render


def test_template_fields() -> None:
    name = PartName('quadruped', 'head')
    assert render('the {part} of the {class_name}', name, 'golden retriever') == 'the head of the golden retriever'
    assert render('the {part} of the {class_name}', name, None) == 'the head of the quadruped'
    assert render('{super_category} {part}', name, 'golden retriever') == 'quadruped head'


def test_missing_super_category_is_dropped_or_rejected_but_never_leaves_a_gap() -> None:
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
