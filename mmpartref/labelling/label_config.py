"""The labelling config of a Label Studio project: its images, labels and kind of regions."""
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmpartref.apis.formats.label_studio_format import Kind
from mmpartref.errors import InputError
from mmpartref.text import shown

# Tags of the labels whose regions are masks, by name in lower case; those of the first kind come first.
KINDS: dict[str, Kind] = {'polygonlabels': 'polygonlabels', 'brushlabels': 'brushlabels'}
MAX_CHARACTERS = 2**20
FUNCTION_WORDS = ('the', 'a', 'an', 'of', 'in', 'on', 's')
EXAMPLE = ('e.g. <View><Image name="image" value="$image"/><PolygonLabels name="label" toName="image">'
           '<Label value="car tire"/></PolygonLabels></View>')


@dataclass(frozen=True)
class LabelConfig:
    """The images, the labels and the kind of regions of a labelling config.

    Attributes:
        image_key: key of the image's address in a task's data.
        image_name: name of the ``Image`` tag.
        kind: of regions; polygons where the config has both.
        label_name: name of the labels' tag.
        labels: as regions have them: a label's alias where it has one, otherwise its value.
    """
    image_key: str
    image_name: str
    kind: Kind
    label_name: str
    labels: tuple[str, ...]

    def label_of(self, expression: str) -> str | None:
        """Return the label with the words of an expression, in the same order if there is one; None for none.

        ``the tire of the car`` is ``car tire``, ``Car_Tire`` or ``tire, car``.
        """
        for words in (all_words, words_of):
            found = [each for each in self.labels if words(each) == words(expression)]
            if found:
                return found[0]
        return None


def all_words(text: str) -> list[str]:
    """Return the words of a label or an expression in lower case."""
    return re.findall(r'[^\W_]+', text.lower())


def words_of(text: str) -> list[str]:
    """Return the sorted words of a label or an expression in lower case, without articles and prepositions."""
    return sorted(each for each in all_words(text) if each not in FUNCTION_WORDS)


def expression_of(label: str) -> str:
    """Return a label as an expression: ``car_tire`` is ``car tire``."""
    return label.replace('_', ' ').strip()


def read_label_config(text: Any) -> LabelConfig:
    """Read the XML of a labelling config.

    Raises:
        InputError: it is not one, or has no image with ``PolygonLabels`` or ``BrushLabels``.
    """
    tags = list(tags_of(parse(text)))
    images = {attributes['name']: attributes.get('value') for tag, attributes, _ in tags
              if tag == 'image' and 'name' in attributes}
    controls = [(list(KINDS).index(tag), attributes, element) for tag, attributes, element in tags
                if tag in KINDS and attributes.get('toname') in images and attributes.get('name')]
    if not controls:
        raise InputError('the labelling config has no PolygonLabels or BrushLabels for an Image; add some, ' + EXAMPLE)
    number, attributes, element = min(controls, key=lambda each: each[0])
    image_name = attributes['toname']
    value = images[image_name] or ''
    if not re.fullmatch(r'\$\w+', value):
        raise InputError(f'the Image {shown(image_name)} has value={shown(value)}, but one image per task is read, as '
                         'value="$image"')
    found = (each.get('alias') or each.get('value') or '' for tag, each, _ in tags_of(element) if tag == 'label')
    labels = list(dict.fromkeys(each for each in found if expression_of(each)))
    expressions = [expression_of(each) for each in labels]
    if twice := [each for each in expressions if expressions.count(each) > 1]:
        raise InputError(f'two labels of the labelling config are the same expression, {shown(twice[0])}; remove one')
    return LabelConfig(value[1:], image_name, list(KINDS.values())[number], attributes['name'],
                       tuple(labels))


def tags_of(root: Any) -> Iterator[tuple[str, dict[str, str], Any]]:
    """Yield (tag, attributes, element) of an element and all inside it, with the names in lower case."""
    for element in root.iter():
        if isinstance(element.tag, str):  # not a comment
            yield element.tag.lower(), {name.lower(): value for name, value in element.attrib.items()}, element


def parse(text: Any) -> Any:
    """Return the root of an XML document without entities and document types.

    Raises:
        InputError: it is not one.
    """
    from defusedxml import DefusedXmlException  # of the extra `label-studio`, see ``app.check_packages``
    from defusedxml.ElementTree import ParseError, fromstring
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        raise InputError(f'the labelling config must be a text of at most {MAX_CHARACTERS:,} characters')
    try:
        return fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InputError(f'the labelling config cannot be read as XML ({type(error).__name__}); '
                         'correct it in the settings of the project') from None
