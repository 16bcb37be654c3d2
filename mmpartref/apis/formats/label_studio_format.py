"""Masks as Label Studio's regions: polygons, or brush strokes as run lengths.

Format: HumanSignal/label-studio's documentation, "Import pre-annotated data"; the run lengths are those of
``label_studio_sdk/converter/brush.py``.
"""
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mmpartref.apis.formats.labelled_masks import LabelledMask
from mmpartref.masks.outlines import outline

Kind = Literal['polygonlabels', 'brushlabels']
# Digits of coordinates in percent of the image.
DIGITS = 4
# Bits of a value of the brush's image, and of the four kinds of counts.
VALUE_BITS, COUNT_BITS = 8, (4, 8, 12, 16)
# Values per pixel: red, green, blue, alpha.
CHANNELS = 4


@dataclass(frozen=True)
class RegionOptions:
    """How masks become regions.

    Attributes:
        kind: type of the regions.
        from_name, to_name: names of the labels' tag (``PolygonLabels``, ``BrushLabels``) and of the ``Image`` tag.
        tolerance: of polygons, in pixels, see ``outline``.
    """
    kind: Kind = 'polygonlabels'
    from_name: str = 'label'
    to_name: str = 'image'
    tolerance: float = 1.0


def label_studio_task(masks: Sequence[LabelledMask], size: tuple[int, int], image: str, tolerance: float, *,
                      model_version: str, from_name: str = 'label', to_name: str = 'image') -> dict[str, Any]:
    """Return a task of Label Studio with one prediction: a polygon per piece.

    Args:
        masks: of the image.
        size: (h, w).
        image: address of the image for Label Studio.
        tolerance: see ``outline``.
        model_version: name of the model.
        from_name, to_name: names of the ``PolygonLabels`` and ``Image`` tags of the project's labelling config.
    """
    options = RegionOptions('polygonlabels', from_name, to_name, tolerance)
    regions = [region for each in masks for region in regions_of(each, [each.label], size, options)]
    return {'data': {'image': image}, 'predictions': [prediction_of(regions, masks, model_version)]}


def prediction_of(regions: Sequence[dict[str, Any]], masks: Sequence[LabelledMask],
                  model_version: str) -> dict[str, Any]:
    """Return a prediction; its score is the mean of the masks' scores, and absent where they have none."""
    prediction: dict[str, Any] = {'model_version': model_version, 'result': list(regions)}
    scores = [each.score for each in masks if each.score is not None]
    if scores:
        prediction['score'] = float(np.mean(scores))
    return prediction


def regions_of(mask: LabelledMask, labels: Sequence[str], size: tuple[int, int],
               options: RegionOptions, salt: str = '') -> list[dict[str, Any]]:
    """Return a polygon region per piece of a mask, in percent of the image's size (h, w), or one brush region.

    A region's id depends on its content and ``salt`` alone. Where ``labels`` are not the expression, its note
    (``meta.text``) is.
    """
    contents: list[dict[str, Any]]
    if options.kind == 'polygonlabels':
        contents = [{'points': np.round(ring * 100 / np.array(size[::-1]), DIGITS).tolist(), 'closed': True}
                    for ring in outline(mask.mask, options.tolerance)]
    else:
        contents = [{'format': 'rle', 'rle': encode_brush(mask.mask)}]
    regions = []
    for content in contents:
        kind = options.kind if labels else options.kind.removesuffix('labels')
        region: dict[str, Any] = {
            'id': uuid.uuid5(uuid.NAMESPACE_OID, f'{mask.label} {mask.group} {content}{salt}').hex[:10],
            'type': kind, 'from_name': options.from_name, 'to_name': options.to_name,
            'original_height': size[0], 'original_width': size[1], 'image_rotation': 0,
            'value': {**content, **({options.kind: list(labels)} if labels else {})}}
        if list(labels) != [mask.label]:
            region['meta'] = {'text': [mask.label]}
        if mask.score is not None:
            region['score'] = mask.score
        regions.append(region)
    return regions


def encode_brush(mask: np.ndarray) -> list[int]:
    """Return the bytes of a brush region: the run lengths of an RGBA image that is 255 inside a mask (h, w) bool.

    The inverse of ``mmpartref.datasets.converters.labelling.label_studio.decode_brush``, where the form is described.
    """
    inside = mask.reshape(-1)
    starts = np.concatenate([[0], np.flatnonzero(inside[1:] != inside[:-1]) + 1, [inside.size]])
    bits = [f'{CHANNELS * inside.size:032b}', f'{VALUE_BITS - 1:05b}', *(f'{each - 1:04b}' for each in COUNT_BITS)]
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        left = CHANNELS * (end - start)
        while left:
            kind = next((number for number, each in enumerate(COUNT_BITS) if left <= 2**each), len(COUNT_BITS) - 1)
            count = min(left, 2**COUNT_BITS[kind])
            bits.append(f'1{kind:02b}{count - 1:0{COUNT_BITS[kind]}b}{255 if inside[start] else 0:08b}')
            left -= count
    return np.packbits(np.frombuffer(''.join(bits).encode(), np.uint8) - ord('0')).tolist()
