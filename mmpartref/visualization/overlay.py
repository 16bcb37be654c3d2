"""Masks and words drawn over a photo. Everything is RGB uint8; masks lie on the photo's own pixels."""
import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from mmpartref.errors import InputError
from mmpartref.visualization.labels import INK, PAPER, LabelBoxes, fit_text, text_height

# Neighbouring hues a golden section apart stay distinct however many there are.
GOLDEN = 0.618034
# Panels are brought to this range of longer sides, in pixels: small photos grow until words fit, large ones shrink.
PANEL_SIDES = (480, 800)
# Narrowest legend column in multiples of the text's height.
LEGEND_COLUMN = 40


def distinct_colour(number: int) -> tuple[int, int, int]:
    """Return the RGB colour of the expression of this number, counted from 0."""
    value = (1.0, 0.78, 0.92)[number % 3]
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.88, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def check_masks(image: np.ndarray, masks: np.ndarray, name: str) -> None:
    """Refuse masks that do not lie on the photo.

    Raises:
        ValueError: not an (h, w, 3) uint8 photo, or not (K, h, w) bool masks.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f'the photo must be RGB (h, w, 3) uint8, got {image.shape} {image.dtype}')
    if masks.ndim != 3 or masks.shape[1:] != image.shape[:2] or masks.dtype != np.bool_:
        raise InputError(f'{name} must be (K, {image.shape[0]}, {image.shape[1]}) bool like the photo, got '
                         f'{masks.shape} {masks.dtype}')


def draw_overlay(image: np.ndarray,
                 masks: np.ndarray,
                 labels: Sequence[str] = (),
                 scores: Sequence[float] = (),
                 *,
                 alpha: float = 0.45) -> np.ndarray:
    """Return a copy of the photo with coloured masks, their outlines and a label near each.

    Small masks are painted over large ones. Labels avoid masks and each other where there is room, stay inside the
    photo, and name an empty mask in the lower left corner. OpenCV's font knows ASCII only: other letters become ``?``.

    Args:
        image: (h, w, 3).
        masks: (K, h, w) bool.
        labels: K texts, or none.
        scores: K numbers written behind the labels, or none.
        alpha: how much of the colour covers the photo, 0 to 1.

    Raises:
        ValueError: sizes or numbers differ, or K scores come without labels.
    """
    check_masks(image, masks, 'masks')
    if len(labels) not in (0, len(masks)) or len(scores) not in (0, len(labels)):
        raise InputError(f'{len(masks)} masks came with {len(labels)} labels and {len(scores)} scores; give one per '
                         'mask, and scores only with labels')
    areas = masks.sum(axis=(1, 2))
    canvas = image.astype(np.float32)
    for number in np.argsort(-areas, kind='stable'):
        colour = np.array(distinct_colour(int(number)), dtype=np.float32)
        canvas[masks[number]] += alpha * (colour - canvas[masks[number]])
    canvas = canvas.round().astype(np.uint8)
    for number in np.argsort(-areas, kind='stable'):
        _outline(canvas, masks[number], distinct_colour(int(number)))
    texts = list(labels)
    if len(scores):
        texts = [f'{label} {score:.2f}' for label, score in zip(labels, scores, strict=True)]
    boxes = LabelBoxes(masks)
    # The smallest part chooses first: it has the least room.
    for number in np.argsort(areas, kind='stable') if texts else ():
        boxes.draw(canvas, masks[number], texts[number], distinct_colour(int(number)))
    return canvas


def _outline(canvas: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(canvas.shape[:2]) / 400))
    cv2.drawContours(canvas, contours, -1, PAPER, width + 2, cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, colour, width, cv2.LINE_AA)


def intersection_over_union(one: np.ndarray, other: np.ndarray) -> float:
    """Return the IoU of two boolean masks; 1 where both are empty, as the metric counts it."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def side_by_side(image: np.ndarray,
                 truth: np.ndarray | None,
                 prediction: np.ndarray | None,
                 labels: Sequence[str],
                 scores: Sequence[float] = ()) -> np.ndarray:
    """Return photo, truth and prediction next to each other, and a numbered legend underneath.

    Args:
        image: (h, w, 3); small photos are enlarged, large ones reduced.
        truth: (K, h, w) bool, or None to leave the panel out.
        prediction: the same.
        labels: K expressions.
        scores: K numbers for the legend, or none.

    Raises:
        ValueError: sizes or numbers differ.
    """
    given = {name: masks for name, masks in (('truth', truth), ('prediction', prediction)) if masks is not None}
    for name, masks in given.items():
        check_masks(image, masks, name)
        if len(masks) != len(labels) or len(scores) not in (0, len(labels)):
            raise InputError(f'{len(labels)} labels came with {len(masks)} masks in {name} and {len(scores)} scores; '
                             'give one of each per expression')
    longest = max(image.shape[:2])
    scale = float(np.clip(longest, *PANEL_SIDES)) / longest
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    photo = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    numbers = [str(number + 1) for number in range(len(labels))]
    panels = [('photo', photo)]
    for name, masks in given.items():
        resized = [cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0 for mask in masks]
        panels.append((name, draw_overlay(photo, np.array(resized, dtype=bool).reshape(-1, *photo.shape[:2]), numbers)))
    texts = list(labels)
    if len(scores):
        texts = [f'{text}  score {score:.2f}' for text, score in zip(texts, scores, strict=True)]
    if truth is not None and prediction is not None:
        texts = [f'{text}  IoU {intersection_over_union(*pair):.2f}'
                 for text, *pair in zip(texts, truth, prediction, strict=True)]
    height = text_height(photo.shape)
    row = np.concatenate([_titled(name, panel, height) for name, panel in panels], axis=1)
    return np.concatenate([row, _legend(texts, row.shape[1], height)])


def _write(canvas: np.ndarray, text: str, left: int, middle: int, height: int, width: int) -> None:
    """Write text of ``height`` pixels, cut to ``width``, with its middle at row ``middle``."""
    fitted = fit_text(text, height, width)
    cv2.putText(canvas, fitted.text, (left, middle + height // 2), fitted.font, fitted.scale, INK, fitted.stroke,
                cv2.LINE_AA)


def _titled(name: str, panel: np.ndarray, height: int) -> np.ndarray:
    """Put a strip with a name over a panel, and a gap at its right."""
    strip = np.full((2 * height, panel.shape[1], 3), PAPER, dtype=np.uint8)
    _write(strip, name, height // 2, height, height, panel.shape[1] - height)
    gap = np.full((panel.shape[0] + len(strip), max(2, height // 3), 3), PAPER, dtype=np.uint8)
    return np.concatenate([np.concatenate([strip, panel]), gap], axis=1)


def _legend(texts: Sequence[str], width: int, height: int) -> np.ndarray:
    """Draw numbers, colours and texts in as many columns as fit into ``width``."""
    columns = max(1, min(len(texts), width // (LEGEND_COLUMN * height)))
    lines = -(-len(texts) // columns)
    legend = np.full((2 * height * lines + height // 2, width, 3), PAPER, dtype=np.uint8)
    for number, text in enumerate(texts):
        left = (number // lines) * (width // columns) + height // 2
        middle = (number % lines) * 2 * height + height
        cv2.rectangle(legend, (left, middle - height // 2), (left + height, middle + height // 2),
                      distinct_colour(number), cv2.FILLED)
        _write(legend, f'{number + 1} {text}', left + 2 * height, middle, height, width // columns - 3 * height)
    return legend
