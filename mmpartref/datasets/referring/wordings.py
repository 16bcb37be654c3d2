"""Templates and the expressions rendered from them."""
import re
import string
from collections.abc import Sequence

from mmpartref.datasets.coco.records import PartName
from mmpartref.errors import InputError
from mmpartref.text import has_words, shown, text_fault

# Fields of a template, in braces.
TEMPLATE_FIELDS = ('super_category', 'part', 'class_name')
DEFAULT_TEMPLATES = ('{super_category} {part}', )
OBJECT_TEMPLATES = ('the {super_category}', )

def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Return templates as a tuple.

    Raises:
        InputError: they are not a list of strings, empty, or one of them has an unknown field.
    """
    allowed = ', '.join(f'{{{field}}}' for field in TEMPLATE_FIELDS)
    if not isinstance(templates, (list, tuple)) or not templates or not all(
            isinstance(each, str) for each in templates):
        raise InputError(f'templates={shown(templates)} should be a list of at least one string, e.g. '
                         f'{list(DEFAULT_TEMPLATES)}; allowed fields are {allowed}')
    for template in templates:
        if fault := text_fault(template, blank=f'template {shown(template)} is blank; allowed fields are {allowed}'):
            raise InputError(fault)
        try:
            pieces = [piece for piece in string.Formatter().parse(template) if piece[1] is not None]
        except ValueError as error:
            raise InputError(f'template {shown(template)} cannot be read ({error}); allowed fields are '
                             f'{allowed}') from None
        fields = [field or '' for _, field, _, _ in pieces]
        if any(layout or conversion for _, _, layout, conversion in pieces):
            raise InputError(f"template {shown(template)} has a ':' or '!' inside braces; write the field "
                             f'alone, allowed fields are {allowed}')
        unknown = [field for field in fields if field not in TEMPLATE_FIELDS]
        if unknown:
            raise InputError(f'template {shown(template)} has the unknown field {{{shown(unknown[0])[1:-1]}}}; '
                             f'allowed fields are {allowed}')
    return tuple(templates)


def check_object_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Return the templates of whole objects as a tuple.

    Raises:
        InputError: see ``check_templates``; or one has the field ``{part}``.
    """
    for template in check_templates(templates):
        if '{part}' in template:
            raise InputError(f'object_templates={list(templates)!r}: an object has no {{part}}; write templates of '
                             f'{{super_category}} and {{class_name}}, e.g. {list(OBJECT_TEMPLATES)}')
    return tuple(templates)


def render(template: str, name: PartName, class_name: str | None) -> str:
    """Fill in one template.

    ``{class_name}`` falls back to the super-category. Where the category has no super-category either, a template that
    consists of fields alone drops the field; a template with other words would be left with a gap ("the wheel of the").

    Raises:
        InputError: there would be such a gap, or the result has no word.
    """
    values = {**name._asdict(), 'class_name': class_name or name.super_category}
    pieces = list(string.Formatter().parse(template))
    empty = [field for _, field, _, _ in pieces if field is not None and not values[field]]
    if empty and re.search(r'\w', ''.join(text for text, _, _, _ in pieces)):
        raise InputError(f'template {shown(template)} has no {{{empty[0]}}} for the category {shown(name.part)}: give '
                         "the category a 'supercategory' in the json, or use a template with {part} alone")
    text = ' '.join(template.format(**values).split())
    if not has_words(text):
        raise InputError(f'template {shown(template)} gives an empty expression for the category {shown(name.part)}: '
                         'use one with {part}')
    return text


class Wordings:
    """Returns the expressions of a part or object: every template filled in, in their order.

    Args:
        templates: of parts, as ``check_templates`` returns them.
        object_templates: of whole objects, whose name has no part.
    """

    def __init__(self, templates: Sequence[str] = DEFAULT_TEMPLATES,
                 object_templates: Sequence[str] = OBJECT_TEMPLATES) -> None:
        self.templates = templates
        self.object_templates = object_templates
        self._cache: dict[tuple[PartName, str | None], list[str]] = {}

    def __call__(self, name: PartName, class_name: str | None) -> list[str]:
        """Return the expressions of a name; cached."""
        key = (name, class_name)
        if key not in self._cache:
            templates = self.templates if name.part else self.object_templates
            self._cache[key] = [render(template, name, class_name) for template in templates]
        return self._cache[key]
