"""The expressions of a request of Label Studio, and the place in the image that it names."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmpartref.apis.formats.labelled_masks import FormatOptions, LabelledMask
from mmpartref.argument_checks import check_number
from mmpartref.errors import InputError
from mmpartref.labelling.label_config import LabelConfig, expression_of
from mmpartref.masks.outlines import nearest_component
from mmpartref.text import has_words, shown, text_fault

# Per image.
MAX_EXPRESSIONS, MAX_CHARACTERS = 200, 200
# Regions that choose a label; a keypoint and a box name a place as well.
PLACES = {'keypointlabels': ('x', 'y'), 'rectanglelabels': ('x', 'y', 'width', 'height')}
CHOSEN = (*PLACES, 'polygonlabels', 'brushlabels', 'ellipselabels')


@dataclass(frozen=True)
class Query:
    """Expressions for one image.

    Attributes:
        expressions: with the label of each; None where the config has no such label.
        place: of the click (x, y) or the box (x, y, width, height) that chose the label, in percent of the image.
    """
    expressions: dict[str, str | None]
    place: tuple[float, ...] | None = None

    def at_place(self, masks: Sequence[LabelledMask], options: FormatOptions) -> list[LabelledMask]:
        """Return one mask per region: for a click the piece or instance nearest to it, for a box its part of the mask.

        Pieces that ``options`` drop are not chosen.
        """
        if self.place is None:
            return options.split(masks)
        found = []
        for each in masks:
            scale = np.array(each.mask.shape[::-1]) / 100
            if len(self.place) == 4:
                chosen, score = inside_box(each.mask, np.array(self.place).reshape(2, 2) * scale), each.score
            else:
                chosen, score = nearest(each, tuple(np.array(self.place) * scale), options)
            if chosen.any():
                found.append(replace(each, mask=chosen, score=score, instances=None))
        return found


def nearest(mask: LabelledMask, point: tuple[float, ...], options: FormatOptions) -> tuple[np.ndarray, float | None]:
    """Return the piece, or the detector's instance, with the pixel nearest to a point (x, y), and its score."""
    x, y = point
    if mask.instances is None:
        least = options.min_area if options.instances == 'components' else 1
        return nearest_component(mask.mask, (x, y), least), mask.score

    def distance(instance: tuple[np.ndarray, float]) -> float:
        rows, columns = np.nonzero(instance[0])
        return float(((columns + 0.5 - x)**2 + (rows + 0.5 - y)**2).min()) if len(rows) else np.inf

    return min(mask.instances, key=distance)


def inside_box(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return a mask without what is outside of a box [[x, y], [width, height]] in pixels."""
    (left, top), (right, bottom) = np.floor(box[0]).astype(int), np.ceil(box[0] + box[1]).astype(int)
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
        texts = _texts(value.get('text') if kind == 'textarea' else value.get(kind) if kind in CHOSEN else None)
        if texts and kind == 'textarea':
            expression = check_expression(texts[-1].strip())
            return Query({expression: config.label_of(expression)})
        if texts:
            expression = check_expression(expression_of(texts[0]))
            return Query({expression: config.label_of(texts[0])}, _place(kind, region, value))
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


def _place(kind: str, region: Mapping[str, Any], value: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the place of a keypoint or a box, in percent.

    Raises:
        InputError, InputTypeError: its coordinates are not numbers, the box is rotated, or the keypoint is negative.
    """
    if kind not in PLACES:
        return None
    if value.get('rotation') or region.get('is_positive', True) is False:
        raise InputError('a rotated box and a negative keypoint choose no mask; draw an upright box, or add a point')
    # A point that is dragged may be beyond the image by a rounding error.
    numbers = (check_number(value.get(name), f'{name} of the region', -10, 110) for name in PLACES[kind])
    return tuple(min(max(each, 0.0), 100.0) for each in numbers)
