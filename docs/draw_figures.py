"""Draw the pictures of docs/task.md from ToyParts: ``python docs/draw_figures.py`` writes them into docs/images.

The predictions are not from a model: they are the truth, moved, grown or shrunk by a few pixels. What is written in the
pictures is counted by ``mmpartref.evaluation``.
"""
import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pycocotools import mask as coco_mask

from mmpartref.datasets import PartImageNetReferringDataset
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.evaluation.scoring.iou_metrics import cumulative_iou, exact_thresholds, mean, precision
from mmpartref.masks.iou import ExpressionScore, Overlap, encode_masks, score_expression

SIZE = (384, 288)
SCENES = 24
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
# Truth alone, prediction alone, both: M. Okabe and K. Ito, "Color Universal Design" (2008).
MISSED, ADDED, SHARED = (0, 114, 178), (213, 94, 0), (0, 158, 115)


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn image (h, w, 3) RGB and the masks (h, w) bool of its expressions."""
    image: np.ndarray
    truths: dict[str, np.ndarray]


def load_scenes() -> list[Scene]:
    """Draw ToyParts and load it as a dataset."""
    with tempfile.TemporaryDirectory() as folder:
        make_toyparts(folder, splits={'test': SCENES}, size=SIZE)
        dataset = PartImageNetReferringDataset(
            data_root=folder, ann_file='annotations/test/test.json', data_prefix={'img': 'images/test'}, pipeline=[])
        return [load_scene(dataset.get_data_info(index)) for index in range(len(dataset))]


def load_scene(entry: dict) -> Scene:
    image = cv2.cvtColor(cv2.imread(entry['img_path']), cv2.COLOR_BGR2RGB)
    truths = {ref['expressions'][0]: coco_mask.decode(coco_mask.merge(ref['rles'])).astype(bool)
              for ref in entry['refs']}
    return Scene(image, truths)


def alter(mask: np.ndarray, right: int = 0, down: int = 0, grow: int = 0) -> np.ndarray:
    """Return the mask moved by some pixels, then grown (or shrunk, below 0) by some."""
    moved = cv2.warpAffine(mask.astype(np.uint8), np.float32([[1, 0, right], [0, 1, down]]), mask.shape[::-1])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(grow) + 1, ) * 2)
    return (cv2.dilate if grow > 0 else cv2.erode)(moved, kernel).astype(bool)


def score(prediction: np.ndarray, truth: np.ndarray) -> ExpressionScore:
    return score_expression(prediction, encode_masks(truth[None]))


def new_figure(width: float, height: float, rows: int, columns: int, **options: object) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def show(axes: Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture)
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


def pale(image: np.ndarray) -> np.ndarray:
    """Return the image in pale grey."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 3 + 168


def cut_out(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the image in pale grey, with its colours inside the mask and the mask's outline."""
    picture = np.where(mask[..., None], image, pale(image))
    outline = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
    return cv2.drawContours(picture, outline, -1, ADDED, 2, cv2.LINE_AA)


def compare(image: np.ndarray, prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the image in pale grey with shared, missed and added pixels in colours."""
    grey = pale(image)
    for mask, colour in ((truth & ~prediction, MISSED), (prediction & ~truth, ADDED), (truth & prediction, SHARED)):
        grey[mask] = colour
    return grey


def crop(picture: np.ndarray, mask: np.ndarray, margin: int = 30) -> np.ndarray:
    """Crop to the surroundings of the mask."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return picture[max(0, y - margin):y + height + margin, max(0, x - margin):x + width + margin]


def draw_expressions(scene: Scene) -> Figure:
    """One image, several expressions, a mask for each."""
    figure, axes = new_figure(9, 4.6, 2, 3)
    show(axes[0, 0], scene.image, 'the image')
    expressions = ('car tire', 'car side mirror', 'bird wing', 'bird foot', 'car body')
    for panel, expression in zip(axes.flat[1:], expressions, strict=True):
        show(panel, cut_out(scene.image, scene.truths[expression]), f'"{expression}"')
    return figure


def predict_wing(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return prediction and truth of the bird's wing."""
    truth = scene.truths['bird wing']
    return alter(truth, right=9, down=-5, grow=2), truth


def wing_overlap(scene: Scene) -> Overlap:
    return score(*predict_wing(scene)).overlap


def draw_iou(scene: Scene) -> Figure:
    """What intersection and union are."""
    prediction, truth = predict_wing(scene)
    overlap = wing_overlap(scene)
    blank = np.zeros_like(truth)
    figure, axes = new_figure(9, 2.4, 1, 3)
    around = truth | prediction
    for panel, (masks, title) in zip(axes.flat, (
            ((blank, truth), f'truth: {truth.sum():,} pixels'),
            ((prediction, blank), f'prediction: {prediction.sum():,} pixels'),
            ((prediction, truth), f'both: {overlap.inter:,}, either: {overlap.union:,}; IoU {overlap.iou:.2f}'),
    ), strict=True):
        show(panel, crop(compare(scene.image, *masks), around), title)
    return figure


def mean_examples(scenes: list[Scene]) -> list[tuple[Scene, str, np.ndarray]]:
    """Five expressions of three images with their predictions."""
    first, second, third = scenes
    return [(scene, expression, alter(scene.truths[expression], **change)) for scene, expression, change in (
        (first, 'car body', {'grow': 1}),
        (second, 'car body', {'right': 3}),
        (third, 'car body', {'down': -2, 'grow': 1}),
        (first, 'car side mirror', {'right': 6, 'down': 3}),
        (first, 'bird wing', {'down': 6, 'grow': -1}),
    )]


def means(examples: list[tuple[Scene, str, np.ndarray]]) -> tuple[list[Overlap], dict[str, float]]:
    """Return the overlaps, and the three means by name."""
    overlaps = [score(prediction, scene.truths[expression]).overlap for scene, expression, prediction in examples]
    by_part: dict[str, list[float]] = {}
    for (_, expression, _), overlap in zip(examples, overlaps, strict=True):
        by_part.setdefault(expression, []).append(overlap.iou)
    return overlaps, {
        'mIoU': mean([overlap.iou for overlap in overlaps]),
        'cIoU': cumulative_iou(overlaps),
        'mIoU_part': mean([mean(values) for values in by_part.values()]),
    }


def draw_means(scenes: list[Scene]) -> Figure:
    """Five predictions and the three means of their IoUs."""
    examples = mean_examples(scenes)
    overlaps, summary = means(examples)
    figure, axes = new_figure(9, 5, 2, 3)
    for panel, (scene, expression, prediction), overlap in zip(axes.flat, examples, overlaps, strict=False):
        truth = scene.truths[expression]
        show(panel, crop(compare(scene.image, prediction, truth), truth | prediction, 25),
             f'"{expression}", image {1 + scenes.index(scene)}\n'
             f'{overlap.inter:,} / {overlap.union:,} = {overlap.iou:.2f}')
    panel = axes[1, 2]
    bars = panel.barh(list(summary), list(summary.values()), color='#56B4E9')
    panel.bar_label(bars, [f'{value:.3f}' for value in summary.values()], padding=3)
    panel.set_xlim(0, 1.2)
    panel.invert_yaxis()
    panel.set_title('the same five predictions', fontsize=10)
    panel.spines[['top', 'right']].set_visible(False)
    return figure


def moved_overlaps(scenes: list[Scene]) -> list[Overlap]:
    """Every expression of every scene, predicted 6 pixels too far to the right."""
    return [score(alter(truth, right=6), truth).overlap for scene in scenes for truth in scene.truths.values()]


def precisions(overlaps: list[Overlap]) -> dict[float, float]:
    """Return Precision@X by X."""
    return {threshold: precision(overlaps, exact, strict=True)
            for threshold, exact in zip(THRESHOLDS, exact_thresholds(THRESHOLDS).values(), strict=True)}


def draw_precision(scenes: list[Scene]) -> Figure:
    """From IoUs to Precision@X."""
    overlaps = moved_overlaps(scenes)
    values = sorted((overlap.iou for overlap in overlaps), reverse=True)
    figure, axes = new_figure(9, 3.4, 1, 2)
    left, right = axes.flat
    left.plot(range(1, len(values) + 1), values, '.', color='#0072B2', markersize=4)
    left.set_xlabel(f'the {len(values)} expressions, best first')
    left.set_ylabel('IoU')
    left.set_ylim(0, 1)
    shares = precisions(overlaps)
    for threshold in THRESHOLDS:
        left.axhline(threshold, color='#999999', linewidth=0.8, linestyle='--')
    bars = right.bar([f'P@{threshold}' for threshold in shares], list(shares.values()), color='#56B4E9')
    right.bar_label(bars, [f'{share:.1%}' for share in shares.values()])
    right.set_ylim(0, 1)
    right.set_ylabel('share with an IoU above it')
    for panel in (left, right):
        panel.spines[['top', 'right']].set_visible(False)
    return figure


def draw_absent(scene: Scene) -> Figure:
    """A part that is not in the image."""
    figure, axes = new_figure(9, 2.6, 1, 3)
    wrong = scene.truths['snake body']
    show(axes[0, 0], scene.image, 'expression "snake foot"')
    show(axes[0, 1], cut_out(scene.image, np.zeros_like(wrong)), 'an empty mask: "no target", right')
    show(axes[0, 2], cut_out(scene.image, wrong), 'some mask: wrong')
    return figure


def find(scenes: list[Scene], *expressions: str) -> list[Scene]:
    """Return the scenes that have all of these expressions."""
    return [scene for scene in scenes if all(expression in scene.truths for expression in expressions)]


def choose(scenes: list[Scene]) -> tuple[Scene, list[Scene]]:
    """Return the scene of a bird and a car, and two others with a car."""
    street = find(scenes, 'car tire', 'bird wing')[0]
    return street, [scene for scene in find(scenes, 'car body') if scene is not street][:2]


def draw_all() -> dict[str, Figure]:
    """Return every picture by its name."""
    scenes = load_scenes()
    street, others = choose(scenes)
    return {
        'task_expressions': draw_expressions(street),
        'task_iou': draw_iou(street),
        'task_means': draw_means([street, *others]),
        'task_precision': draw_precision(scenes),
        'task_absent': draw_absent(find(scenes, 'snake body')[0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'images', help='folder of the pictures')
    out = parser.parse_args().out
    for name, figure in draw_all().items():
        figure.savefig(out / f'{name}.png', dpi=100)


if __name__ == '__main__':
    main()
