"""Drawing of masks, labels and heat maps over an image. Images are RGB uint8; masks have the size of the image."""
import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from mmpartref.argument_checks import check_number, check_sequence
from mmpartref.errors import InputError, InputTypeError
from mmpartref.masks.iou import encode_masks, score_expression
from mmpartref.tables import percent
from mmpartref.visualization.fonts import drawable
from mmpartref.visualization.labels import BOX_COLOUR, LabelBoxes, draw_text, fit_text, text_height, text_width

# Hues at steps of the golden section stay distinct for any number of colours.
GOLDEN = 0.618034
# Panels are scaled to a longer side in this range, in pixels.
PANEL_SIDES = (480, 800)
# Minimum width of a legend column, in multiples of the text height.
LEGEND_COLUMN = 40
# zlib's level of compression: 1 takes a third of the time of 6 for an overlay, which is then a seventh larger.
OVERLAY_COMPRESSION = 1
# Of an expression in a legend.
NO_FONT = '(no font has its letters)'


def distinct_colour(number: int) -> tuple[int, int, int]:
    """Return the RGB colour of an index, counted from 0."""
    value = (1.0, 0.78, 0.92)[number % 3]
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.88, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def check_array(value: object, name: str) -> None:
    """Raise an ``InputTypeError`` for what is not an array."""
    if not isinstance(value, np.ndarray):
        raise InputTypeError(f'{name} should be an array, got a {type(value).__name__}')


def check_masks(image: np.ndarray, masks: np.ndarray, name: str) -> None:
    """Check that the image is (h, w, 3) uint8, and the masks are (K, h, w) bool.

    Raises:
        InputTypeError: one is not an array.
        InputError: one has another shape or dtype.
    """
    check_array(image, 'image')
    check_array(masks, name)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f'the image must be RGB (h, w, 3) uint8, got {image.shape} {image.dtype}')
    if masks.ndim != 3 or masks.shape[1:] != image.shape[:2] or masks.dtype != np.bool_:
        raise InputError(f'{name} must be (K, {image.shape[0]}, {image.shape[1]}) bool, the size of the image, got '
                         f'{masks.shape} {masks.dtype}')


def draw_overlay(image: np.ndarray, masks: np.ndarray, labels: Sequence[str] = (), scores: Sequence[float] = (), *,
                 alpha: float = 0.45, first_number: int = 0) -> np.ndarray:
    """Return a copy of the image with coloured masks, their outlines and labels.

    Small masks are drawn over large ones. Labels avoid masks and each other where possible; those of empty masks are
    in the lower left corner. A label with characters that no installed font has is replaced by its number ('#2').

    Args:
        image: (h, w, 3).
        masks: (K, h, w) bool.
        labels: K texts, or none.
        scores: K fractions to append to the labels, in percent, or none.
        alpha: opacity of the masks, 0 to 1.
        first_number: number of the first mask, see above.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: sizes or lengths differ, ``alpha`` is not from 0 to 1, or scores are given without labels.
    """
    check_masks(image, masks, 'masks')
    alpha = check_number(alpha, 'alpha', 0, 1)
    labels, scores = check_sequence(labels, 'labels', 'strings', str), check_sequence(scores, 'scores', 'numbers')
    if len(labels) not in (0, len(masks)) or len(scores) not in (0, len(labels)):
        raise InputError(f'got {len(masks)} masks, {len(labels)} labels and {len(scores)} scores; give one per '
                         'mask, and scores only with labels')
    areas = masks.sum(axis=(1, 2))
    largest_first = np.argsort(-areas, kind='stable')
    colours = [distinct_colour(number) for number in range(len(masks))]
    blended = image.astype(np.float32)
    for number in largest_first:
        blended[masks[number]] += alpha * (np.array(colours[number], np.float32) - blended[masks[number]])
    canvas = blended.round().astype(np.uint8)
    for number in largest_first:
        _outline(canvas, masks[number], colours[number])
    texts = [drawable(label, f'#{number}') for number, label in enumerate(labels, first_number)]
    if len(scores):
        texts = [f'{text} {percent(score)}' for text, score in zip(texts, scores, strict=True)]
    boxes = LabelBoxes(masks)
    # Labels of small masks are placed first, because they have the fewest good positions.
    for number in np.argsort(areas, kind='stable') if texts else ():
        boxes.draw(canvas, masks[number], texts[number], colours[number])
    return canvas


def _outline(canvas: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(canvas.shape[:2]) / 400))
    cv2.drawContours(canvas, contours, -1, BOX_COLOUR, width + 2, cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, colour, width, cv2.LINE_AA)


def draw_heat_map(image: np.ndarray, heat: np.ndarray, *, alpha: float = 0.65) -> np.ndarray:
    """Draw a heat map in viridis (dark purple at 0, yellow at 1) over the image in grey.

    Args:
        image: (h, w, 3).
        heat: (h, w), 0 to 1.
        alpha: opacity of the heat map, 0 to 1.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: the sizes differ, or ``alpha`` is not from 0 to 1.
    """
    check_array(image, 'image')
    check_array(heat, 'heat')
    alpha = check_number(alpha, 'alpha', 0, 1)
    if heat.shape != image.shape[:2]:
        raise InputError(f'the heat map is {heat.shape} but the image is {image.shape[:2]} (height, width)')
    levels = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(colours, alpha, grey, 1 - alpha, 0)


def side_by_side(image: np.ndarray, truth: np.ndarray | None, prediction: np.ndarray | None, labels: Sequence[str],
                 scores: Sequence[float] = ()) -> np.ndarray:
    """Draw image, ground truth and prediction side by side above a numbered legend.

    Args:
        image: (h, w, 3), scaled to ``PANEL_SIDES``.
        truth: (K, h, w) bool, or None for no panel.
        prediction: as ``truth``.
        labels: K expressions.
        scores: K fractions for the legend, in percent, or none.

    Raises:
        InputTypeError: an argument is of another type.
        InputError: sizes or lengths differ.
    """
    check_array(image, 'image')
    labels, scores = check_sequence(labels, 'labels', 'strings', str), check_sequence(scores, 'scores', 'numbers')
    given = {name: masks for name, masks in (('truth', truth), ('prediction', prediction)) if masks is not None}
    for name, masks in given.items():
        check_masks(image, masks, name)
        if len(masks) != len(labels) or len(scores) not in (0, len(labels)):
            raise InputError(f'got {len(labels)} labels, {len(masks)} masks in {name} and {len(scores)} scores; give '
                             'one of each per expression')
    longest = max(image.shape[:2])
    scale = float(np.clip(longest, *PANEL_SIDES)) / longest
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    numbers = [str(number + 1) for number in range(len(labels))]
    panels = [('image', resized)]
    for name, masks in given.items():
        smaller = [cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0 for mask in masks]
        stacked = np.array(smaller, dtype=bool).reshape(-1, *resized.shape[:2])
        panels.append((name, draw_overlay(resized, stacked, numbers)))
    texts = [drawable(label, NO_FONT) for label in labels]
    if len(scores):
        texts = [f'{text}  score {percent(score)}' for text, score in zip(texts, scores, strict=True)]
    if truth is not None and prediction is not None:
        scored = (score_expression(mask, encode_masks(true[None]))
                  for mask, true in zip(prediction, truth, strict=True))
        texts = [f'{text}  IoU {percent(each.overlap.iou)}' for text, each in zip(texts, scored, strict=True)]
    height = text_height(resized.shape)
    row = np.concatenate([_titled(name, panel, height) for name, panel in panels], axis=1)
    return np.concatenate([row, _legend(texts, row.shape[1], height)])


def _titled(name: str, panel: np.ndarray, height: int) -> np.ndarray:
    """Add a title above a panel and a gap to its right."""
    strip = np.full((2 * height, panel.shape[1], 3), BOX_COLOUR, dtype=np.uint8)
    draw_text(strip, fit_text(name, height, panel.shape[1] - height)[0], height // 2, height + height // 2, height)
    gap = np.full((panel.shape[0] + len(strip), max(2, height // 3), 3), BOX_COLOUR, dtype=np.uint8)
    return np.concatenate([np.concatenate([strip, panel]), gap], axis=1)


def _legend(texts: Sequence[str], width: int, height: int) -> np.ndarray:
    """Draw numbers, colours and texts in as many columns as fit into ``width``."""
    columns = max(1, min(len(texts), width // (LEGEND_COLUMN * height)))
    lines = -(-len(texts) // columns)
    legend = np.full((2 * height * lines + height // 2, width, 3), BOX_COLOUR, dtype=np.uint8)
    for number, text in enumerate(texts):
        left = (number // lines) * (width // columns) + height // 2
        middle = (number % lines) * 2 * height + height
        cv2.rectangle(legend, (left, middle - height // 2), (left + height, middle + height // 2),
                      distinct_colour(number), cv2.FILLED)
        # On its own, so that it is on the left of a text from right to left, too.
        draw_text(legend, f'{number + 1}', left + 2 * height, middle + height // 2, height)
        indent = text_width(f'{number + 1} ', height)
        fitted, _ = fit_text(text, height, width // columns - 3 * height - indent)
        draw_text(legend, fitted, left + 2 * height + indent, middle + height // 2, height)
    return legend
