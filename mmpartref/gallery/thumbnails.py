"""The small pictures of a gallery's cards. Everything is RGB uint8."""
import cv2
import numpy as np

from mmpartref.gallery import colours
from mmpartref.visualization.labels import PAPER

Colour = tuple[int, int, int]


def fit_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the mask (h, w) bool on a smaller photo of ``shape``; a mask of any pixel keeps at least one."""
    if mask.shape == shape:
        return mask
    share = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    small = share >= 0.5
    return small if small.any() else share > 0


def fill(canvas: np.ndarray, mask: np.ndarray, colour: Colour, alpha: float) -> None:
    """Mix a colour into the photo under the mask, in place."""
    under = canvas[mask].astype(np.float32)
    canvas[mask] = (under + alpha * (np.array(colour, dtype=np.float32) - under)).round().astype(np.uint8)


def edge(mask: np.ndarray) -> np.ndarray:
    """Return the mask's own outermost pixels; the photo's border counts as inside."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return mask & ~(cv2.erode(mask.astype(np.uint8), cross) > 0)


def outline(canvas: np.ndarray, mask: np.ndarray, colour: Colour) -> None:
    """Draw a line around the mask, dark at its outer edge so that it shows on any photo, in place.

    The line lies outside, as in the page's own drawings: a line on the border would hide most of a small part.
    """
    width = max(1, round(max(canvas.shape[:2]) / 160))
    for shade, reach in ((PAPER, width + 1), (colour, width)):
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        canvas[(cv2.dilate(mask.astype(np.uint8), disc) > 0) & ~mask] = shade


def draw_prediction(photo: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the photo with the prediction filled, its own border in full colour, and a line around the truth.

    Args:
        photo: (H, W, 3), at the size of the thumbnail.
        truth, prediction: (h, w) bool, at the size of the original photo.
    """
    shape = photo.shape[:2]
    canvas = photo.copy()
    predicted = fit_mask(prediction, shape)
    fill(canvas, predicted, colours.PREDICTION, colours.ALPHA)
    fill(canvas, edge(predicted), colours.PREDICTION, 1.0)
    outline(canvas, fit_mask(truth, shape), colours.TRUTH)
    return canvas


def difference(truth: np.ndarray, one: np.ndarray, other: np.ndarray) -> dict[Colour, np.ndarray]:
    """Return which pixels get which colour where two predictions, or one and the truth, meet; (h, w) bool each.

    Pixels that are background for all three get none. A pixel that only one model gets right may be one that it found
    or one that it rightly left out.
    """
    return {
        colours.BOTH_RIGHT: truth & one & other,
        colours.PREDICTION: (one == truth) & (other != truth),
        colours.OTHER: (other == truth) & (one != truth),
        colours.BOTH_WRONG: (one != truth) & (other != truth),
    }


def draw_difference(photo: np.ndarray, truth: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the photo in grey, the pixels of ``difference`` coloured and the truth outlined; sizes as above.

    Blue over a red car would pass for another colour of the legend; over grey it stays blue.
    """
    shape = photo.shape[:2]
    truth, one, other = (fit_mask(mask, shape) for mask in (truth, one, other))
    canvas = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    for colour, mask in difference(truth, one, other).items():
        fill(canvas, mask, colour, colours.DIFFERENCE_ALPHA)
    outline(canvas, truth, colours.TRUTH)
    return canvas
