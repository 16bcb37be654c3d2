"""Where words go on a photo."""
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

INK, PAPER = (255, 255, 255), (24, 24, 24)
FONT = cv2.FONT_HERSHEY_SIMPLEX
# Height of a capital letter: a share of the photo's longer side, and the least that can be read, in pixels.
HEIGHT_SHARE, LEAST_HEIGHT = 1 / 48, 8
# Capital letters of the font at scale 1, in pixels.
FONT_HEIGHT = 22
# What a position costs: covering other labels, covering other masks, hiding all of its own mask, lying one photo
# diagonal away from its part.
LABEL_COST, OTHERS_COST, OWN_COST, DISTANCE_COST = 10.0, 1.0, 2.0, 3.0
GRID = 12


class FittedText(NamedTuple):
    """Text that fits, and how ``cv2.putText`` draws it; ``width`` in pixels."""
    text: str
    font: int
    scale: float
    stroke: int
    width: int


def text_height(shape: tuple[int, ...]) -> int:
    """Return the height of capital letters in pixels for a photo of (h, w, ...)."""
    return max(LEAST_HEIGHT, round(max(shape[:2]) * HEIGHT_SHARE))


def fit_text(text: str, height: int, width: int) -> FittedText:
    """Return ASCII text of letters ``height`` pixels high, its end cut off where it is wider than ``width`` pixels."""
    text = text.encode('ascii', errors='replace').decode('ascii')
    scale, stroke = height / FONT_HEIGHT, max(1, round(height / 10))

    def wide(candidate: str) -> int:
        return cv2.getTextSize(candidate, FONT, scale, stroke)[0][0]

    fitted = text
    while fitted and wide(fitted) > width:
        text = text[:-1]
        fitted = f'{text}..' if text else ''
    return FittedText(fitted, FONT, scale, stroke, wide(fitted))


def inner_point(mask: np.ndarray) -> tuple[int, int]:
    """Return the (x, y) of the mask's pixel farthest from its border; the mask is not empty."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


class LabelBoxes:
    """Places one label box after the other on a photo.

    Args:
        masks: (K, h, w) bool, all masks of the photo; labels keep off them where they can.
    """

    def __init__(self, masks: np.ndarray) -> None:
        self.size = masks.shape[1:]
        self.masked: np.ndarray = np.any(masks, axis=0)
        self.labelled = np.zeros(self.size, dtype=bool)

    def draw(self, canvas: np.ndarray, mask: np.ndarray, text: str, colour: tuple[int, int, int]) -> None:
        """Write ``text`` near its mask, a line between them where they lie apart."""
        rows, columns = self.size
        letters = text_height(self.size)
        margin = max(2, letters // 3)
        empty = not mask.any()
        fitted = fit_text(f'{text} (empty)' if empty else text, letters, columns - 2 * margin - 1)
        width, height = min(columns, fitted.width + 2 * margin), min(rows, letters + 2 * margin)
        corner = (0, rows - 1) if empty else inner_point(mask)
        x, y = self._place(mask, corner, width, height)
        self.labelled[y:y + height, x:x + width] = True
        if not empty:
            self._line(canvas, corner, (x, y, width, height), colour)
        cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), PAPER, cv2.FILLED)
        cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), colour, 1)
        cv2.putText(canvas, fitted.text, (x + margin, y + margin + letters), FONT, fitted.scale, INK, fitted.stroke,
                    cv2.LINE_AA)

    def _place(self, mask: np.ndarray, anchor: tuple[int, int], width: int, height: int) -> tuple[int, int]:
        """Return the upper left (x, y) of the cheapest box."""
        diagonal = float(np.hypot(*self.size))
        others, area = self.masked & ~mask, max(1, int(mask.sum()))
        best, lowest = (0, 0), np.inf
        for x, y in self._candidates(mask, anchor, width, height):
            box = np.s_[y:y + height, x:x + width]
            away = np.hypot(anchor[0] - np.clip(anchor[0], x, x + width), anchor[1] - np.clip(anchor[1], y, y + height))
            cost = (LABEL_COST * self.labelled[box].mean() + OTHERS_COST * others[box].mean()
                    + OWN_COST * mask[box].sum() / area + DISTANCE_COST * away / diagonal)
            if cost < lowest:
                best, lowest = (x, y), cost
        return best

    def _candidates(self, mask: np.ndarray, anchor: tuple[int, int], width: int,
                    height: int) -> Iterator[tuple[int, int]]:
        """Yield upper left corners inside the photo: around the anchor, around the mask, then a grid."""
        rows, columns = self.size
        right, bottom = columns - width, rows - height
        left, top, wide, high = cv2.boundingRect(mask.astype(np.uint8))
        gap = max(2, height // 4)
        middle_x, middle_y = anchor[0] - width // 2, anchor[1] - height // 2
        wanted = [(middle_x, middle_y), (middle_x, top - height - gap), (middle_x, top + high + gap),
                  (left - width - gap, middle_y), (left + wide + gap, middle_y)]
        down, across = np.linspace(0, bottom, GRID, dtype=int), np.linspace(0, right, GRID, dtype=int)
        wanted += [(x, y) for y in down for x in across]
        for x, y in wanted:
            yield int(np.clip(x, 0, right)), int(np.clip(y, 0, bottom))

    def _line(self, canvas: np.ndarray, anchor: tuple[int, int], box: tuple[int, int, int, int],
              colour: tuple[int, int, int]) -> None:
        x, y, width, height = box
        end = (int(np.clip(anchor[0], x, x + width - 1)), int(np.clip(anchor[1], y, y + height - 1)))
        if end == anchor:
            return
        thickness = max(1, round(max(self.size) / 500))
        cv2.line(canvas, anchor, end, PAPER, thickness + 2, cv2.LINE_AA)
        cv2.line(canvas, anchor, end, colour, thickness, cv2.LINE_AA)
        cv2.circle(canvas, anchor, 2 * thickness, colour, cv2.FILLED, cv2.LINE_AA)
