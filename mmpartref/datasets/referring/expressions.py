"""From a category of the json to the expressions that ask for it."""
import re
import string
from collections.abc import Callable, Mapping, Sequence

from mmpartref.datasets.coco.records import Category, PartName, plain
from mmpartref.errors import InputError
from mmpartref.text import has_words, shown, text_fault

# What a template may ask for, in braces.
TEMPLATE_FIELDS = ('super_category', 'part', 'class_name')
DEFAULT_TEMPLATES = ('{super_category} {part}', )

# Super-categories that say nothing about the object.
UNHELPFUL_SUPER_CATEGORIES = frozenset({'', 'none', 'null', 'n/a', 'unknown', 'part', 'parts', 'object'})


def split_category(name: str, super_category: str | None, part: str | None = None) -> PartName:
    """Take a category's name apart.

    The part is ``part`` where the json gives it. Otherwise it is the name without its super-category in front ("Swivel
    Chair Back" of "Swivel Chair" -> "back", "Computer Computer Case" of "Computer" -> "computer case"), or the whole
    name where it does not begin with it. A super-category that says nothing (see ``UNHELPFUL_SUPER_CATEGORIES``) or
    only repeats the name is left out.
    """
    whole, owner = plain(name), plain(super_category or '')
    if part is not None:
        return PartName('' if owner in UNHELPFUL_SUPER_CATEGORIES else owner, plain(part))
    if owner in UNHELPFUL_SUPER_CATEGORIES or owner == whole:
        return PartName('', whole)
    rest = whole.removeprefix(owner)
    if rest == whole or rest[0].isalnum():  # "carpet" does not begin with the word "car"
        return PartName(owner, whole)
    return PartName(owner, rest.strip(' :./-') or whole)


def name_categories(ann_file: str, categories: Mapping[int, Category],
                    name_category: Callable[[Category], PartName]) -> dict[int, PartName]:
    """Return what each category means, by id.

    Raises:
        ValueError: two categories mean the same, so an expression would name one and leave the other's parts out.
    """
    names: dict[int, PartName] = {}
    owners: dict[PartName, Category] = {}
    for category_id, category in categories.items():
        name = name_category(category)
        if not has_words(name.part or (name.super_category if category.level == 'object' else '')):
            raise InputError(f'{ann_file}: category {category_id}: its name {shown(category.name)} has no word; name '
                             'the part')
        other = owners.setdefault(name, category)
        if other is not category:
            raise InputError(f'{ann_file}: categories {other.category_id} ({shown(other.name)}) and {category_id} '
                             f'({shown(category.name)}) both mean {shown(" ".join(name).strip())}; unite them or '
                             'rename one')
        names[category_id] = name
    return names


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Return the templates as a tuple.

    Raises:
        ValueError: there is none, they are one bare string, or one of them asks for an unknown field.
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


def render(template: str, name: PartName, class_name: str | None) -> str:
    """Fill one template in.

    ``{class_name}`` falls back to the super-category. Where the category has no super-category either, a template that
    is nothing but fields leaves it out; in one with words of its own that would tear a hole ("the wheel of the").

    Raises:
        ValueError: such a hole.
    """
    values = {**name._asdict(), 'class_name': class_name or name.super_category}
    pieces = list(string.Formatter().parse(template))
    empty = [field for _, field, _, _ in pieces if field is not None and not values[field]]
    if empty and re.search(r'\w', ''.join(text for text, _, _, _ in pieces)):
        raise InputError(f'template {shown(template)} has no {{{empty[0]}}} to show for the category {shown(name.part)}'
                         ": give the category a 'supercategory' in the json, or use a template with {part} alone")
    text = ' '.join(template.format(**values).split())
    if not has_words(text):
        raise InputError(f'template {shown(template)} has nothing to say of the category {shown(name.part)}: use '
                         'one with {part}')
    return text


class Wordings:
    """Every template filled in, in their order; rendered once for each name and class.

    Args:
        templates: as ``check_templates`` returns them.
        object_templates: those of a name without a part, which is a whole object's.
    """

    def __init__(self, templates: Sequence[str], object_templates: Sequence[str] = ()) -> None:
        self.templates = templates
        self.object_templates = object_templates
        self._rendered: dict[tuple[PartName, str | None], list[str]] = {}

    def __call__(self, name: PartName, class_name: str | None) -> list[str]:
        """Return the expressions that ask for a part."""
        key = (name, class_name)
        if key not in self._rendered:
            self._rendered[key] = [
                render(template, name, class_name)
                for template in (self.templates if name.part else self.object_templates)]
        return self._rendered[key]
