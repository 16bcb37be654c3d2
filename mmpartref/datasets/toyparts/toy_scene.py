"""Composes one ToyParts scene: two objects of different super-categories, side by side on a background."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmpartref.datasets.partimagenet.partimagenet_names import (
    CATEGORY_NAMES,
    OBJECT_MAP_BACKGROUND,
    PART_MAP_BACKGROUND,
    SUPER_CATEGORIES,
    load_synsets,
)
from mmpartref.datasets.toyparts.toy_animals import bird, fish, reptile, snake
from mmpartref.datasets.toyparts.toy_annotations import annotate, drop_small_instances
from mmpartref.datasets.toyparts.toy_colours import draw_palette
from mmpartref.datasets.toyparts.toy_geometry import Drawing, uniform
from mmpartref.datasets.toyparts.toy_mammals import biped, quadruped
from mmpartref.datasets.toyparts.toy_painter import Painting, Pose, paint_object
from mmpartref.datasets.toyparts.toy_scenery import FLOORLESS, HABITATS, SCENERY
from mmpartref.datasets.toyparts.toy_vehicles import aeroplane, bicycle, boat, bottle, car

DRAWERS: dict[str, Callable[[np.random.Generator], Drawing]] = {
    'Quadruped': quadruped, 'Biped': biped, 'Fish': fish, 'Bird': bird, 'Snake': snake, 'Reptile': reptile, 'Car': car,
    'Bicycle': bicycle, 'Boat': boat, 'Aeroplane': aeroplane, 'Bottle': bottle}
SUPERSAMPLING = 2


@dataclass(frozen=True)
class Scene:
    """A drawn scene of h x w pixels.

    ``image`` (h, w, 3) uint8 BGR; ``part_map`` (h, w) uint8, category ids, background 40; ``object_map`` (h, w) uint8,
    positions in ``load_synsets()``, background 158; ``annotations`` COCO records without ids, in no two of which a
    pixel occurs twice; ``synset`` the wnid of the first object; ``super_categories`` of both.
    """
    image: NDArray[np.uint8]
    part_map: NDArray[np.uint8]
    object_map: NDArray[np.uint8]
    annotations: list[dict[str, Any]]
    synset: str
    super_categories: tuple[str, str]


def _draw_pose(drawing: Drawing, slot: float, width: int, height: int, rng: np.random.Generator,
               floor: bool) -> tuple[Pose, NDArray[np.float64]]:
    """Fit a drawing into the half of the canvas around x = ``slot``; return the pose and its box (x0, y0, x1, y1)."""
    angle = np.deg2rad(uniform(rng, -5, 5) * (1 if drawing.grounded else 1.6))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
    points = np.vstack([shape.outline for shape in drawing.shapes]) @ turn.T
    low, high = points.min(0), points.max(0)
    extent = high - low
    scale = min(uniform(rng, 0.43, 0.52) * width / extent[0], uniform(rng, 0.68, 0.82) * height / extent[1])
    box, room = extent * scale, np.array([width, height]) - extent * scale
    edge = 0.012 * width
    x = np.clip(slot + uniform(rng, -0.03, 0.03) * width - box[0] / 2, edge, room[0] - edge)
    stand = uniform(rng, 0.86, 0.96) * height - box[1]
    y = np.clip(stand if floor and drawing.grounded else uniform(rng, 0.2, 0.8) * room[1], edge, room[1] - edge)
    offset = np.array([x, y]) - low * scale
    return Pose(np.column_stack([turn * scale, offset]), float(scale)), np.array([x, y, x + box[0], y + box[1]])


def _cast_shadow(painting: Painting, box: NDArray[np.float64]) -> None:
    """Darken the ground under a box with a soft ellipse."""
    height, width = painting.instance_map.shape
    shadow = np.zeros((height // 4, width // 4), np.float32)
    centre = (int((box[0] + box[2]) / 8), int(box[3] / 4) - 1)
    cv2.ellipse(shadow, centre, (max(1, int((box[2] - box[0]) * 0.115)), max(1, height // 100)), 0, 0, 360, 0.45, -1)
    shadow = cv2.resize(cv2.blur(shadow, (7, 5)), (width, height))
    painting.canvas *= (1 - shadow)[..., None]


def compose_scene(rng: np.random.Generator, first: str, size: tuple[int, int]) -> Scene:
    """Draw a scene of ``size`` (w, h) with an object of super-category ``first`` and one of another."""
    others = [name for name in SUPER_CATEGORIES if name != first]
    pair = (first, others[int(rng.integers(len(others)))])
    table = load_synsets()
    choices = [[wnid for wnid, synset in table.items() if synset.super_category == name] for name in pair]
    synsets = [options[int(rng.integers(len(options)))] for options in choices]
    width, height = (side * SUPERSAMPLING for side in size)
    places = HABITATS[pair[int(rng.integers(2))]]
    place = places[int(rng.integers(len(places)))]
    painting = Painting(SCENERY[place](height, width, rng), np.zeros((height, width), np.uint8))
    _place_objects(painting, pair, place not in FLOORLESS, rng)

    image = cv2.resize(np.clip(painting.canvas, 0, 255), size, interpolation=cv2.INTER_AREA)
    instance_map = np.ascontiguousarray(painting.instance_map[::SUPERSAMPLING, ::SUPERSAMPLING])
    drop_small_instances(instance_map, len(painting.instances))
    category_ids = [CATEGORY_NAMES.index(f'{pair[number]} {part}') for number, part in painting.instances]
    classes = [list(table).index(synsets[number]) for number, _ in painting.instances]
    part_lookup = np.array([PART_MAP_BACKGROUND, *category_ids], np.uint8)
    object_lookup = np.array([OBJECT_MAP_BACKGROUND, *classes], np.uint8)
    return Scene(np.round(image).astype(np.uint8), part_lookup[instance_map], object_lookup[instance_map],
                 annotate(instance_map, category_ids), synsets[0], pair)


def _place_objects(painting: Painting, pair: tuple[str, str], floor: bool, rng: np.random.Generator) -> None:
    """Paint the two objects, in random order, one in each half of the canvas."""
    height, width = painting.instance_map.shape
    drawings = [DRAWERS[name](rng) for name in pair]
    slots = np.array([0.26, 0.74])[rng.permutation(2)] * width
    poses = [_draw_pose(drawing, float(slot), width, height, rng, floor)
             for drawing, slot in zip(drawings, slots, strict=True)]
    palettes = []
    for name, (_, box) in zip(pair, poses, strict=True):
        left, top, right, bottom = box.astype(int)
        background = painting.canvas[top:bottom:4, left:right:4].mean((0, 1))
        palettes.append(draw_palette(rng, name, background))
    for drawing, (_, box) in zip(drawings, poses, strict=True):
        if floor and drawing.grounded:
            _cast_shadow(painting, box)
    for number in rng.permutation(2).tolist():
        paint_object(painting, drawings[number], poses[number][0], palettes[number], number, rng)
