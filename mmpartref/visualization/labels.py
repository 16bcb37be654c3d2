"""Placement and drawing of text labels on an image."""
import math
from bisect import bisect_right

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmpartref.visualization.fonts import DEJAVU, load_font, printable, split_by_font

TEXT_COLOUR, BOX_COLOUR = (255, 255, 255), (24, 24, 24)
# Height of a capital letter: a share of the image's longer side, and the legible minimum in pixels.
HEIGHT_SHARE, MIN_HEIGHT = 1 / 52, 7
# Cost of a position: fully on other labels, fully on other masks, hiding all of its mask, and an image diagonal away
# from it.
LABEL_COST, OTHERS_COST, OWN_COST, DISTANCE_COST = 10.0, 1.0, 2.0, 3.0
# Rows and columns of candidate positions.
CANDIDATE_GRID = 12


def text_height(shape: tuple[int, ...]) -> int:
    """Return the height of capital letters in pixels for an image of (h, w, ...)."""
    return max(MIN_HEIGHT, round(max(shape[:2]) * HEIGHT_SHARE))


def fit_text(text: str, height: int, max_width: int) -> tuple[str, int]:
    """Make text printable and truncate it to ``max_width`` pixels; return it with its width.

    ``height`` is that of capital letters in pixels.
    """
    # A letter is at least one pixel wide.
    text = printable(text[:max(0, max_width) + 1])
    if (width := text_width(text, height)) <= max_width:
        return text, width
    longest = bisect_right(range(1, len(text)), max_width, key=lambda length: text_width(f'{text[:length]}..', height))
    fitted = f'{text[:longest]}..' if longest else ''
    return fitted, text_width(fitted, height)


def text_width(text: str, height: int) -> int:
    """Return the width of printable text in pixels."""
    return math.ceil(sum(font.getlength(piece) for piece, font in _pieces(text, height)))


def draw_text(canvas: np.ndarray, text: str, left: int, bottom: int, height: int) -> None:
    """Draw printable text with capital letters of ``height`` pixels on the baseline ``bottom``, in place."""
    start = float(left)
    for piece, font in _pieces(text, height):
        _draw_piece(canvas, piece, font, round(start), bottom)
        start += font.getlength(piece)


def _draw_piece(canvas: np.ndarray, text: str, font: ImageFont.FreeTypeFont, left: int, bottom: int) -> None:
    x, y, right, lower = (round(each) for each in font.getbbox(text, anchor='ls'))
    if right <= x or lower <= y:
        return
    mask = Image.new('L', (right - x, lower - y))
    ImageDraw.Draw(mask).text((-x, -y), text, fill=255, font=font, anchor='ls')
    over = canvas[max(0, bottom + y):max(0, bottom + lower), max(0, left + x):max(0, left + right)]
    inside = np.asarray(mask, np.float32)[max(0, -bottom - y):, max(0, -left - x):][:over.shape[0], :over.shape[1]]
    over[:] = np.rint(over + inside[:, :, None] / 255 * (np.array(TEXT_COLOUR, np.float32) - over))


def _pieces(text: str, height: int) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    return [(piece, load_font(file, height)) for piece, file in split_by_font(text) or [(text, DEJAVU)]]


def inner_point(mask: np.ndarray) -> tuple[int, int]:
    """Return the (x, y) of the pixel of a non-empty mask (h, w) that is farthest from pixels outside of it."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


class LabelBoxes:
    """Places and draws labels on an image one by one.

    Args:
        masks: (K, h, w) bool, all masks of the image; labels avoid them where possible.
    """

    def __init__(self, masks: np.ndarray) -> None:
        self.size = masks.shape[1:]
        self.masked: np.ndarray = np.any(masks, axis=0)
        self.labelled = np.zeros(self.size, dtype=bool)

    def draw(self, canvas: np.ndarray, mask: np.ndarray, text: str, colour: tuple[int, int, int]) -> None:
        """Draw ``text`` near its mask, with a line between them if they do not touch."""
        rows, columns = self.size
        letters = text_height(self.size)
        margin = max(2, letters // 3)
        empty = not mask.any()
        fitted, text_width = fit_text(f'{text} (empty)' if empty else text, letters, columns - 2 * margin - 1)
        width, height = min(columns, text_width + 2 * margin), min(rows, letters + 2 * margin)
        corner = (0, rows - 1) if empty else inner_point(mask)
        x, y = self._place(mask, corner, width, height)
        self.labelled[y:y + height, x:x + width] = True
        if not empty:
            self._line(canvas, corner, (x, y, width, height), colour)
        cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), BOX_COLOUR, cv2.FILLED)
        cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), colour, 1)
        draw_text(canvas, fitted, x + margin, y + margin + letters, letters)

    def _place(self, mask: np.ndarray, anchor: tuple[int, int], width: int, height: int) -> tuple[int, int]:
        """Return the upper left (x, y) of the box of least cost, of equals the first."""
        diagonal = float(np.hypot(*self.size))
        area = max(1, int(mask.sum()))
        x, y = self._candidates(mask, anchor, width, height)
        away = np.hypot(anchor[0] - np.clip(anchor[0], x, x + width), anchor[1] - np.clip(anchor[1], y, y + height))

        def pixels(inside: np.ndarray) -> np.ndarray:
            # From a table of sums, because a slice per candidate is mostly Python, which threads run in turn.
            sums = cv2.integral(inside.view(np.uint8))
            return sums[y + height, x + width] - sums[y, x + width] - sums[y + height, x] + sums[y, x]

        cost = (LABEL_COST * (pixels(self.labelled) / (width * height))
                + OTHERS_COST * (pixels(self.masked & ~mask) / (width * height))
                + OWN_COST * pixels(mask) / area + DISTANCE_COST * away / diagonal)
        best = int(cost.argmin())
        return int(x[best]), int(y[best])

    def _candidates(self, mask: np.ndarray, anchor: tuple[int, int], width: int,
                    height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the x and y of upper left corners inside the image: at the anchor, around the mask, then a grid."""
        rows, columns = self.size
        right, bottom = columns - width, rows - height
        left, top, wide, high = cv2.boundingRect(mask.astype(np.uint8))
        gap = max(2, height // 4)
        middle_x, middle_y = anchor[0] - width // 2, anchor[1] - height // 2
        corners = [(middle_x, middle_y), (middle_x, top - height - gap), (middle_x, top + high + gap),
                   (left - width - gap, middle_y), (left + wide + gap, middle_y)]
        down, across = (np.linspace(0, end, CANDIDATE_GRID, dtype=int) for end in (bottom, right))
        corners += [(x, y) for y in down for x in across]
        x, y = np.array(corners, dtype=int).T
        return np.clip(x, 0, right), np.clip(y, 0, bottom)

    def _line(self, canvas: np.ndarray, anchor: tuple[int, int], box: tuple[int, int, int, int],
              colour: tuple[int, int, int]) -> None:
        x, y, width, height = box
        end = (int(np.clip(anchor[0], x, x + width - 1)), int(np.clip(anchor[1], y, y + height - 1)))
        if end == anchor:
            return
        thickness = max(1, round(max(self.size) / 500))
        cv2.line(canvas, anchor, end, BOX_COLOUR, thickness + 2, cv2.LINE_AA)
        cv2.line(canvas, anchor, end, colour, thickness, cv2.LINE_AA)
        cv2.circle(canvas, anchor, 2 * thickness, colour, cv2.FILLED, cv2.LINE_AA)
