"""Pictures of a dataset's items after its pipeline: the network's input with its expressions and masks."""
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mmpartref.errors import InputError
from mmpartref.files.atomic_write import atomic_write
from mmpartref.masks.rle import decode_refs
from mmpartref.progress import track
from mmpartref.seeding import seed_global_generators
from mmpartref.structures import ReferringDataSample
from mmpartref.text import one_line, shown_name
from mmpartref.visualization.overlay import side_by_side


def write_pictures(dataset: Any, out: Path, first: int, number: int, seed: int, epoch: int) -> Iterator[str]:
    """Write ``<index>_<image>.png`` for items of a dataset; yield a line about each.

    Args:
        dataset: its pipeline ends with ``PackReferringInputs``, or with mmdet's ``PackDetInputs`` and masks.
        out: the folder, made if needed.
        first: index of the first item.
        number: of items; fewer at the end of the dataset.
        seed: of random transforms; an item's picture depends on it, on the epoch and on the index.
        epoch: of the draws.

    Raises:
        InputError: the dataset has no item ``first``, an item is not packed or has no masks, or the images are in
            ``out``.
    """
    if first >= len(dataset):
        raise InputError(f'the dataset has {len(dataset)} items, counted from 0, and none of index {first}')
    classes = dataset.metainfo.get('classes') or ()
    for index in track(range(first, min(first + number, len(dataset))), 'pictures'):
        seed_global_generators(seed, epoch, index, devices=False)
        item = dataset[index]
        if 'data_samples' not in item:
            raise InputError("the dataset's pipeline does not pack its items; end it with dict(type="
                             "'PackReferringInputs')")
        sample = item['data_samples']
        name = shown_name(sample.img_path)
        if 'skipped' in sample:
            yield f'{name}: skipped: {one_line(sample.skipped)}'
            continue
        path = out / f'{index:04d}_{Path(sample.img_path).stem}.png'
        if out.resolve() == Path(sample.img_path).resolve().parent:
            raise InputError(f"{shown_name(str(out))} is a folder of the dataset's images; name another output folder")
        labels, masks = item_masks(sample, classes, tuple(item['inputs'].shape[1:]))
        image = np.ascontiguousarray(item['inputs'].permute(1, 2, 0).numpy())  # (H, W, 3)
        with atomic_write(path) as temporary:
            Image.fromarray(side_by_side(image, masks, None, labels)).save(temporary, 'PNG')
        yield f'{name}: {len(labels)} masks -> {shown_name(str(path))}'


def item_masks(sample: Any, classes: Sequence[str], size: tuple[int, int]) -> tuple[list[str], np.ndarray]:
    """Return the expressions, or the categories of a detector's targets, and their masks (K, H, W) bool.

    Args:
        sample: a ``ReferringDataSample``, or mmdet's ``DetDataSample`` with the masks of ``gt_instances``.
        classes: names of a detector's labels.
        size: (H, W) of the network's input.

    Raises:
        InputError: the sample has no masks.
    """
    if isinstance(sample, ReferringDataSample):
        if 'gt_masks' in sample:
            return list(sample.expressions), sample.gt_masks.numpy() > 127
        if 'refs' in sample:
            return list(sample.expressions), _evaluated_masks(sample, size)
    elif 'masks' in sample.get('gt_instances', ()):
        found = sample.gt_instances
        masks = found.masks.to_ndarray().astype(bool).reshape(-1, *size)
        return [classes[label] for label in found.labels.tolist()], masks
    raise InputError(f'{shown_name(sample.img_path)}: the pipeline packs a {type(sample).__name__} without masks; draw '
                     'it with browse_dataset.py of the package that the dataset comes from')


def _evaluated_masks(sample: ReferringDataSample, size: tuple[int, int]) -> np.ndarray:
    """Return the masks (K, H, W) bool of an evaluation, whose pipeline leaves them at the image's own size."""
    matrix = sample.letterbox_matrix
    if 'scale_factor' in sample:  # of a Resize, without Letterbox
        width, height = sample.scale_factor
        matrix = np.array([[width, 0, 0.5 * width - 0.5], [0, height, 0.5 * height - 0.5]])
    masks = decode_refs(sample.refs, sample.ori_shape[:2]) * 255  # (K, h, w)
    warped = [cv2.warpAffine(mask, matrix, size[::-1]) > 127 for mask in masks]
    return np.array(warped, dtype=bool).reshape(-1, *size)
