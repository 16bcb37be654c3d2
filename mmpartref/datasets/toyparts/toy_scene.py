"""Composition of a ToyParts scene: two objects of different super-categories side by side on a background."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from mmpartref.datasets.partimagenet.partimagenet_names import (
    CATEGORY_NAMES,
    OBJECT_MAP_BACKGROUND,
    PART_MAP_BACKGROUND,
    SUPER_CATEGORIES,
    load_synsets,
)
from mmpartref.datasets.toyparts.toy_animals import biped, bird, fish, quadruped, reptile, snake
from mmpartref.datasets.toyparts.toy_colours import draw_palette
from mmpartref.datasets.toyparts.toy_geometry import Drawing, uniform
from mmpartref.datasets.toyparts.toy_painter import Painting, Pose, paint_object
from mmpartref.datasets.toyparts.toy_scenery import FLOORLESS, HABITATS, SCENERY
from mmpartref.datasets.toyparts.toy_vehicles import aeroplane, bicycle, boat, bottle, car
from mmpartref.masks.rle import union

DRAWERS: dict[str, Callable[[np.random.Generator], Drawing]] = {
    'Quadruped': quadruped, 'Biped': biped, 'Fish': fish, 'Bird': bird, 'Snake': snake, 'Reptile': reptile, 'Car': car,
    'Bicycle': bicycle, 'Boat': boat, 'Aeroplane': aeroplane, 'Bottle': bottle}
SUPERSAMPLING = 2
MIN_AREA = 12  # px; a part with fewer visible pixels is dropped from the json and the label maps


@dataclass(frozen=True)
class Scene:
    """A drawn scene of h x w pixels.

    Attributes:
        image: (h, w, 3) uint8 BGR.
        part_map: (h, w) uint8, category ids, background 40.
        object_map: (h, w) uint8, positions in ``load_synsets()``, background 158.
        annotations: COCO records without ids; their masks do not overlap.
        synset: wnid of the first object.
    """
    image: NDArray[np.uint8]
    part_map: NDArray[np.uint8]
    object_map: NDArray[np.uint8]
    annotations: list[dict[str, Any]]
    synset: str


def _draw_pose(drawing: Drawing, slot: float, width: int, height: int, rng: np.random.Generator,
               floor: bool) -> tuple[Pose, NDArray[np.float64]]:
    """Fit a drawing into the half of the canvas around x = ``slot``; returns pose and box (x0, y0, x1, y1)."""
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
    """Darken the ground below a box by a soft ellipse."""
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
                 annotate(instance_map, category_ids), synsets[0])


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


def drop_small_instances(instance_map: NDArray[np.uint8], count: int) -> list[int]:
    """Erase instances under ``MIN_AREA`` px from the map in place; returns the numbers (from 1) that remain."""
    areas = np.bincount(instance_map.ravel(), minlength=count + 1)
    remaining = [number for number in range(1, count + 1) if areas[number] >= MIN_AREA]
    lookup = np.zeros(256, np.uint8)
    lookup[remaining] = remaining
    instance_map[:] = lookup[instance_map]
    return remaining


def to_segmentation(mask: NDArray[np.uint8]) -> list[list[float]] | dict[str, Any]:
    """Encode a mask (h, w) as polygons if they decode to it exactly, otherwise (a hole) as a compressed RLE."""
    height, width = mask.shape
    code = mask_api.encode(np.asfortranarray(mask))
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(xs[0]), int(ys[0])
    crop = mask[top:ys[-1] + 1, left:xs[-1] + 1]
    # Contours of the mask enlarged twice run a quarter of a pixel inside the pixel edges, so that no pixel centre is on
    # one and the simplification rarely changes a pixel. Contours of the mask itself run through the pixel centres, so
    # that its border pixels would be lost.
    enlarged = np.pad(crop.repeat(2, 0).repeat(2, 1), 1)
    contours, hierarchy = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if (hierarchy[0, :, 3] < 0).all():
        for tolerance in (0.9, 0.6, 0.0):
            outlines = [cv2.approxPolyDP(contour, tolerance, True)[:, 0] for contour in contours]
            if min(len(outline) for outline in outlines) < 3:
                continue
            polygons = [(((outline - 0.5) / 2) + (left, top)).ravel().tolist() for outline in outlines]
            decoded = union(mask_api.frPyObjects(polygons, height, width), mask.shape)
            if decoded['counts'] == code['counts']:
                return polygons
    return {'size': [height, width], 'counts': code['counts'].decode('ascii')}


def annotate(instance_map: NDArray[np.uint8], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return one annotation, without ids, per instance in the map; instance ``i`` has ``category_ids[i - 1]``."""
    annotations = []
    for number in np.unique(instance_map[instance_map > 0]).tolist():
        mask = (instance_map == number).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        annotations.append({'category_id': category_ids[number - 1], 'segmentation': to_segmentation(mask),
                            'area': int(mask.sum()), 'bbox': [x, y, width, height], 'iscrowd': 0})
    return annotations
