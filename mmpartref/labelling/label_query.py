"""What a request of Label Studio asks for: an image, expressions, and where in the image."""
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmpartref.argument_checks import check_number
from mmpartref.errors import InputError
from mmpartref.labelling.label_config import LabelConfig, expression_of
from mmpartref.masks.outlines import split_components
from mmpartref.text import has_words, shown, text_fault

# Per image.
MAX_EXPRESSIONS, MAX_CHARACTERS = 200, 200


@dataclass(frozen=True)
class Query:
    """Expressions for one image.

    Attributes:
        expressions: with the label of each; None where the config has no such label.
        place: of the click (x, y) or the box (x, y, width, height) that chose the label, in percent of the image.
    """
    expressions: dict[str, str | None]
    place: tuple[float, ...] | None = None

    def at_place(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask's (h, w) connected piece nearest to the click, or what of it is inside the box."""
        if self.place is None or not mask.any():
            return mask
        height, width = mask.shape
        scale = np.array([width, height]) / 100
        corner = np.array(self.place[:2]) * scale
        if len(self.place) == 2:
            pieces = split_components(mask)
            distances = [((np.argwhere(each)[:, ::-1] + 0.5 - corner)**2).sum(axis=1).min() for each in pieces]
            return pieces[int(np.argmin(distances))]
        left, top = np.floor(corner).astype(int).clip(0)
        right, bottom = np.ceil(corner + np.array(self.place[2:]) * scale).astype(int).clip(0)
        inside = np.zeros_like(mask)
        inside[top:bottom, left:right] = mask[top:bottom, left:right]
        return inside


def query_of(config: LabelConfig, context: Any) -> Query:
    """Return what to segment: a typed expression, the chosen label, or, without a context, all labels of the config.

    Args:
        config: of the project.
        context: ``params.context`` of a request for predictions. Of the regions in its ``result`` the last one that
            can be used counts: a TextArea's last text, or the label of a keypoint, a box or another region.

    Raises:
        InputError: there is nothing to segment, or a value is of another form.
    """
    if context is None:
        if not config.labels:
            raise InputError('the labelling config has no Label, so there is nothing to segment before an expression '
                             'is typed')
        if len(config.labels) > MAX_EXPRESSIONS:
            raise InputError(f'the labelling config has {len(config.labels)} labels, more than {MAX_EXPRESSIONS}')
        return Query({check_expression(expression_of(each)): each for each in config.labels})
    regions = context.get('result') if isinstance(context, Mapping) else None
    if not isinstance(regions, list) or not all(isinstance(each, Mapping) for each in regions):
        raise InputError("'context' must be an object with a list 'result' of regions")
    for region in reversed(regions):
        kind, value = region.get('type'), region.get('value')
        if not isinstance(kind, str) or not isinstance(value, Mapping):
            raise InputError("a region of 'context' has no 'type' or no 'value'")
        texts = _texts(value.get('text') if kind == 'textarea' else value.get(kind))
        if texts and kind == 'textarea':
            expression = check_expression(texts[-1].strip())
            return Query({expression: config.label_of(expression)})
        if texts:
            return Query({check_expression(expression_of(texts[0])): texts[0]}, _place(kind, value))
    raise InputError('there is no expression: type one, or choose a label first')


def _texts(value: Any) -> list[str]:
    """Return the texts in a list that have words."""
    return [each for each in value if isinstance(each, str) and has_words(each)] if isinstance(value, list) else []


def check_expression(text: str) -> str:
    """Return an expression.

    Raises:
        InputError: it is too long, or has half a character.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f'the expression {shown(text)} has {len(text)} characters, more than {MAX_CHARACTERS}')
    if fault := text_fault(text, blank='the expression is blank'):
        raise InputError(fault)
    return text


def _place(kind: str, value: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return where a keypoint or a box is.

    Raises:
        InputError, InputTypeError: its coordinates are not percentages.
    """
    names = {'keypointlabels': ('x', 'y'), 'rectanglelabels': ('x', 'y', 'width', 'height')}.get(kind)
    if names is None:
        return None
    return tuple(check_number(value.get(name), f'{name} of the region', 0, 100) for name in names)
