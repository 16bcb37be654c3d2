"""Thumbnails of a gallery's cards, RGB uint8, and the gallery's colours.

The colours are five of the eight of Okabe and Ito ("Color Universal Design", 2008), which people with any kind of
colour blindness can distinguish. Lightness differs as well: yellow and sky blue are light, vermilion and green dark.
"""
import cv2
import numpy as np

from mmpartref.visualization.labels import BOX_COLOUR

Colour = tuple[int, int, int]
TRUTH = (240, 228, 66)
PREDICTION = (86, 180, 233)
# The second model of a comparison.
OTHER = (213, 94, 0)
# Pixels that both models of a comparison get right inside the truth, or both get wrong.
BOTH_RIGHT, BOTH_WRONG = (0, 158, 115), (204, 121, 167)
# Opacity of a prediction, as in ``visualization.overlay``, and of a difference, whose four colours must be distinct on
# any background.
ALPHA, DIFFERENCE_ALPHA = 0.45, 0.65


def fit_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Shrink a mask (h, w) bool to ``shape``; a non-empty mask keeps at least one pixel."""
    if mask.shape == shape:
        return mask
    share = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    small = share >= 0.5
    return small if small.any() else share > 0


def fill(canvas: np.ndarray, mask: np.ndarray, colour: Colour, alpha: float) -> None:
    """Blend a colour over the pixels of the mask, in place."""
    under = canvas[mask].astype(np.float32)
    canvas[mask] = (under + alpha * (np.array(colour, dtype=np.float32) - under)).round().astype(np.uint8)


def near(mask: np.ndarray, distance: int) -> np.ndarray:
    """Return the pixels up to a distance from the mask, and the mask."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * distance + 1, 2 * distance + 1))
    return cv2.dilate(mask.astype(np.uint8), disc) > 0


def outline(canvas: np.ndarray, mask: np.ndarray, colour: Colour, *, inside: bool = False) -> None:
    """Draw a line with a dark rim on both sides along the edge of the mask, in place.

    From the outside: rim, truth, rim, which is the edge, prediction (``inside``), rim, as on the page. So two equal
    masks have two lines, and a prediction of a few pixels is bright. The image border is not an edge.
    """
    width = max(1, round(max(canvas.shape[:2]) / 160))
    start = 0 if inside else 1
    side, away = (mask, ~mask) if inside else (~mask, mask)
    canvas[near(away, start + width + 1) & side] = BOX_COLOUR
    canvas[near(away, start + width) & side] = colour
    canvas[near(mask, 1) & ~mask] = BOX_COLOUR


def draw_prediction(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Draw the prediction filled, with a line inside its edge, and a line around the truth.

    Args:
        image: (H, W, 3), at the size of the thumbnail.
        truth, prediction: (h, w) bool, at the size of the original image.
    """
    shape = image.shape[:2]
    canvas = image.copy()
    predicted = fit_mask(prediction, shape)
    fill(canvas, predicted, PREDICTION, ALPHA)
    outline(canvas, predicted, PREDICTION, inside=True)
    outline(canvas, fit_mask(truth, shape), TRUTH)
    return canvas


def difference(truth: np.ndarray, one: np.ndarray, other: np.ndarray) -> dict[Colour, np.ndarray]:
    """Return the pixels (h, w) bool of each colour, by which of two predictions agrees with the truth.

    True negatives of both have no colour. Pixels that one model gets right are its true positives and true negatives.
    """
    return {
        BOTH_RIGHT: truth & one & other,
        PREDICTION: (one == truth) & (other != truth),
        OTHER: (other == truth) & (one != truth),
        BOTH_WRONG: (one != truth) & (other != truth),
    }


def draw_difference(image: np.ndarray, truth: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Draw the colours of ``difference`` and a line around the truth over the image in grey.

    Over a coloured image the blended colours would not match the legend. Sizes as in ``draw_prediction``.
    """
    shape = image.shape[:2]
    truth, one, other = (fit_mask(mask, shape) for mask in (truth, one, other))
    canvas = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    for colour, mask in difference(truth, one, other).items():
        fill(canvas, mask, colour, DIFFERENCE_ALPHA)
    outline(canvas, truth, TRUTH)
    return canvas
