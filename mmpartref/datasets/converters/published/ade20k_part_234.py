"""ADE20K-Part-234 as OV-PARTS publishes it: objects in a COCO json, their parts in 16-bit PNG label maps.

Paper: Wei et al., OV-PARTS: Towards Open-Vocabulary Part Segmentation (NeurIPS 2023). Format: OpenRobotLab/OV_PARTS,
``register_ade_part_234.py``: the objects are in ``ade20k_instance_{train,val}.json``; a pixel of
``annotations_detectron2_part/{training,validation}/*.png`` is the index of its class among the 234, or 65535 for none.
"""
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.argument_checks import check_path
from mmpartref.datasets.converters.mask_document import (
    MaskDocument,
    annotation_rle,
    file_in,
    label_categories,
    read_label_map,
)
from mmpartref.datasets.converters.standard_json import (
    AS_PUBLISHED,
    compare_count,
    convert_splits,
    count_line,
    distinct,
    field,
    read_sections,
)
from mmpartref.errors import InputError, MissingFileError
from mmpartref.text import shown, shown_name

SOURCE = 'ADE20K-Part-234'
# Folder of each split.
SPLITS = {'train': 'training', 'val': 'validation'}
IGNORED = 65535
# The parts of each object, in the order of the labels.
PARTS = {
    'person': 'arm, back, foot, gaze, hand, head, leg, neck, torso',
    'door': 'door frame, handle, knob, panel',
    'clock': 'face, frame',
    'toilet': 'bowl, cistern, lid',
    'cabinet': 'door, drawer, front, shelf, side, skirt, top',
    'sink': 'bowl, faucet, pedestal, tap, top',
    'lamp': 'arm, base, canopy, column, cord, highlight, light source, shade, tube',
    'sconce': 'arm, backplate, highlight, light source, shade',
    'chair': 'apron, arm, back, base, leg, seat, seat cushion, skirt, stretcher',
    'chest of drawers': 'apron, door, drawer, front, leg',
    'chandelier': 'arm, bulb, canopy, chain, cord, highlight, light source, shade',
    'bed': 'footboard, headboard, leg, side rail',
    'table': 'apron, drawer, leg, shelf, top, wheel',
    'armchair': 'apron, arm, back, back pillow, leg, seat, seat base, seat cushion',
    'ottoman': 'back, leg, seat',
    'shelf': 'door, drawer, front, shelf',
    'swivel chair': 'back, base, seat, wheel',
    'fan': 'blade, canopy, tube',
    'coffee table': 'leg, top',
    'stool': 'leg, seat',
    'sofa': 'arm, back, back pillow, leg, seat base, seat cushion, skirt',
    'computer': 'computer case, keyboard, monitor, mouse',
    'desk': 'apron, door, drawer, leg, shelf, top',
    'wardrobe': 'door, drawer, front, leg, mirror, top',
    'car': 'bumper, door, headlight, hood, license plate, logo, mirror, wheel, window, wiper',
    'bus': 'bumper, door, headlight, license plate, logo, mirror, wheel, window, wiper',
    'oven': 'button panel, door, drawer, top',
    'cooking stove': 'burner, button panel, door, drawer, oven, stove',
    'microwave': 'button panel, door, front, side, top, window',
    'refrigerator': 'button panel, door, drawer, side',
    'kitchen island': 'door, drawer, front, side, top',
    'dishwasher': 'button panel, handle, skirt',
    'bookcase': 'door, drawer, front, side',
    'television receiver': 'base, buttons, frame, keys, screen, speaker',
    'glass': 'base, bowl, opening, stem',
    'pool table': 'bed, leg, pocket',
    'van': 'bumper, door, headlight, license plate, logo, mirror, taillight, wheel, window, wiper',
    'airplane': 'door, fuselage, landing gear, propeller, stabilizer, turbine engine, wing',
    'truck': 'bumper, door, headlight, license plate, logo, mirror, wheel, window',
    'minibike': 'license plate, mirror, seat, wheel',
    'washer': 'button panel, door, front, side',
    'bench': 'arm, back, leg, seat',
    'traffic light': 'housing, pole',
    'light': 'aperture, canopy, diffusor, highlight, light source, shade',
}
CATEGORIES = label_categories(PARTS, {})


def convert_ade20k_part_234(root: str | Path) -> tuple[dict, list[str]]:
    """Return the json of each split that exists, and lines that count what was written and dropped.

    The pixels of a part within an object are one annotation, with the ``object_id`` of that object. The pixels of a
    part outside all objects of its class are one annotation without ``object_id``. So the annotations of a part in an
    image unite to the part in the label map, pixel by pixel.

    Args:
        root: the folder with ``ade20k_instance_train.json`` or ``..._val.json`` and ``annotations_detectron2_part``.
    """
    root = Path(check_path(root, 'root'))
    splits = [split for split in SPLITS if os.path.isfile(root / f'ade20k_instance_{split}.json')]
    if not splits:
        raise MissingFileError(f'{shown_name(str(root))} has neither ade20k_instance_train.json nor ..._val.json; name '
                               'the folder that ADE20KPart234.tar.gz unpacks to')
    return convert_splits('ade20k_part_234', splits, lambda split: _Converter(root, split).convert())


class _Converter:
    """Converts a split, one image after the other."""

    def __init__(self, root: Path, split: str) -> None:
        self.path = str(root / f'ade20k_instance_{split}.json')
        self.folder = root / 'annotations_detectron2_part' / SPLITS[split]
        self.images, annotations, categories = read_sections(self.path)
        # ADE20K appends synonyms to a name: "airplane, aeroplane, plane".
        self.name = shown_name(self.path)
        self.classes = {key: field(each, 'name', str, f'{self.name}: category {key}').partition(',')[0].strip()
                        for key, each in categories.items()}
        self.objects: dict[int, list[tuple[int, dict]]] = {key: [] for key in self.images}
        for key, record in annotations.items():
            self.objects[record['image_id']].append((key, record))
        self.labels_of: dict[str, list[int]] = {}
        for category in CATEGORIES:
            self.labels_of.setdefault(category['supercategory'], []).append(category['id'])
        self.document = MaskDocument(SOURCE, CATEGORIES)
        self.counts: Counter[str] = Counter()

    def add_image(self, image_id: int) -> None:
        """Add an image and its parts."""
        image, where = self.images[image_id], f'{self.name}: image {image_id}'
        file_name = field(image, 'file_name', str, where)
        size = (field(image, 'height', int, where), field(image, 'width', int, where))
        path = file_in(self.folder, Path(file_name).stem, '.png', where)
        labels = read_label_map(path, size, where, len(CATEGORIES), IGNORED)
        self.document.add_image(image_id, file_name, *size)
        rest = labels.copy()
        for key, record in self.objects[image_id]:
            self.add_object(image_id, key, record, labels, rest)
        for label in np.unique(rest[rest != IGNORED]).tolist():
            mask = rest == label
            self.document.add_mask(image_id, label, mask)
            self.counts['without object'] += 1
            self.counts['pixels without object'] += int(mask.sum())

    def add_object(self, image_id: int, key: int, record: dict[str, Any], labels: np.ndarray, rest: np.ndarray) -> None:
        """Add the parts of an object, and remove their pixels from ``rest``."""
        self.counts['objects'] += 1
        where = f'{self.name}: annotation {key}'
        own_labels = self.labels_of.get(self.classes[record['category_id']])
        if own_labels is None:
            self.counts['of another class'] += 1
            return
        rle = annotation_rle(record, (labels.shape[0], labels.shape[1]), where)
        inside = np.zeros(labels.shape, dtype=bool) if rle is None else coco_mask.decode(rle) != 0
        found = [label for label in np.unique(labels[inside]).tolist() if label in own_labels]
        for label in found:
            mask = inside & (labels == label)
            self.document.add_mask(image_id, label, mask, object_id=key)
            rest[mask] = IGNORED
        self.counts['objects with parts'] += bool(found)
        self.counts['in objects'] += len(found)
        listed = record.get('part_category_id', [])
        if not isinstance(listed, list) or not all(type(each) is int for each in listed):
            raise InputError(f"{where}: 'part_category_id' is {shown(listed)}, not a list of labels; {AS_PUBLISHED}")
        self.counts['listed only'] += len(set(listed) - set(found))

    def convert(self) -> tuple[dict, list[str]]:
        """Return the json of the split, and lines that count images, objects, parts and categories."""
        for image_id in self.images:
            self.add_image(image_id)
        counts, annotations = self.counts, self.document.annotations
        empty = counts['objects'] - counts['objects with parts'] - counts['of another class']
        return self.document.to_json(), [
            count_line('images', len(self.images), len(self.document.images), {})
            + f"; {distinct(annotations, 'image_id'):,} of them with parts",
            count_line('objects whose parts are written', counts['objects'], counts['objects with parts'],
                       {'without a part in the label map': empty,
                        f'of none of the {len(PARTS)} classes': counts['of another class']}),
            count_line('parts', counts['in objects'] + counts['without object'], len(annotations), {})
            + f"; {counts['without object']:,} of them ({counts['pixels without object']:,} pixels) outside all "
            f"objects of their class; {counts['listed only']:,} more are listed by an object (part_category_id), but "
            'not in the label map there',
            compare_count(distinct(annotations, 'category_id'), len(CATEGORIES), 'categories in these images')]
