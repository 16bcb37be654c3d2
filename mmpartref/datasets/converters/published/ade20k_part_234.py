"""ADE20K-Part-234 as OV-PARTS publishes it: objects in a COCO json, their parts in 16-bit PNG label maps.

Paper: Wei et al., OV-PARTS: Towards Open-Vocabulary Part Segmentation (NeurIPS 2023). Format: OpenRobotLab/OV_PARTS,
``register_ade_part_234.py``: ``ade20k_instance_{train,val}.json`` has the objects; a pixel of
``annotations_detectron2_part/{training,validation}/*.png`` is the place of its class among the 234, 65535 is none.
"""
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.read_coco import read_json
from mmpartref.datasets.converters.mask_document import MaskDocument, category_records, read_label_map
from mmpartref.datasets.converters.standard_json import Document, account, by_id, check_pointers, compare, field
from mmpartref.errors import InputError, MissingFileError
from mmpartref.masks.rle import rle_from_segmentation

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


def category_names() -> list[tuple[str, str, str]]:
    """Return ("bed's leg" as published, object, part), in the order of the labels."""
    return [(f"{owner}'s {part}", owner, part) for owner, parts in PARTS.items() for part in parts.split(', ')]


def convert_ade20k_part_234(root: str | Path) -> tuple[dict[str, Document], list[str]]:
    """Return the json of each split that is there, and lines that count what was kept and left out.

    The pixels of a part within an object are one annotation, ``obj_ann_id`` says of which; the pixels of a part that
    lie in no object of its kind are one more without that key. So all annotations of a part in a photo together are
    the part in the map, pixel by pixel.

    Args:
        root: the folder with ``ade20k_instance_train.json`` or ``..._val.json`` and ``annotations_detectron2_part``.

    Raises:
        FileNotFoundError: there is no split, or a map is missing.
        ValueError: a file is malformed.
    """
    root = Path(root)
    splits = [split for split in SPLITS if (root / f'ade20k_instance_{split}.json').is_file()]
    if not splits:
        raise MissingFileError(f'{root} has neither ade20k_instance_train.json nor ..._val.json; name the folder that '
                               'ADE20KPart234.tar.gz unpacks to')
    documents, lines = {}, []
    for split in splits:
        converter = _Converter(root, split)
        for image_id in converter.images:
            converter.add(image_id)
        documents[f'ade20k_part_234_{split}'] = converter.document.document()
        lines += [f'{split}: {line}' for line in converter.lines()]
    return documents, lines


class _Converter:
    """Takes one photo of a split after the other."""

    def __init__(self, root: Path, split: str) -> None:
        self.path = str(root / f'ade20k_instance_{split}.json')
        self.folder = root / 'annotations_detectron2_part' / SPLITS[split]
        published = read_json(self.path)
        self.images = by_id(published, 'images', self.path)
        # ADE20K writes synonyms behind a name: "airplane, aeroplane, plane".
        categories = by_id(published, 'categories', self.path)
        self.objects = {key: field(each, 'name', str, f'{self.path}: category {key}').partition(',')[0].strip()
                        for key, each in categories.items()}
        self.owned: dict[int, list[tuple[int, dict]]] = {key: [] for key in self.images}
        for key, record in by_id(published, 'annotations', self.path).items():
            check_pointers(record, self.images, categories, f'{self.path}: annotation {key}')
            self.owned[record['image_id']].append((key, record))
        names = category_names()
        self.labels_of: dict[str, list[int]] = {}
        for label, (_, owner, _) in enumerate(names):
            self.labels_of.setdefault(owner, []).append(label)
        self.document = MaskDocument(SOURCE, category_records(names))
        self.counts: Counter[str] = Counter()

    def add(self, image_id: int) -> None:
        """Add the parts of a photo."""
        image, where = self.images[image_id], f'{self.path}: image {image_id}'
        file_name = field(image, 'file_name', str, where)
        size = tuple(field(image, side, int, where) for side in ('height', 'width'))
        path = self.folder / f'{Path(file_name).stem}.png'
        labels = read_label_map(path, size, where, len(self.document.categories), IGNORED)
        self.document.add_photo(image_id, file_name, *size)
        rest = labels.copy()
        for key, record in self.owned[image_id]:
            self.add_object(image_id, key, record, labels, rest)
        for label in np.unique(rest[rest != IGNORED]).tolist():
            mask = rest == label
            self.document.add(image_id, label, mask)
            self.counts['ownerless'] += 1
            self.counts['ownerless pixels'] += int(mask.sum())

    def add_object(self, image_id: int, key: int, record: dict[str, Any], labels: np.ndarray, rest: np.ndarray) -> None:
        """Add the parts of an object, and strike their pixels from ``rest``."""
        self.counts['objects'] += 1
        where = f'{self.path}: annotation {key}'
        own = self.labels_of.get(self.objects[record['category_id']])
        if own is None:
            self.counts['of another kind'] += 1
            return
        try:
            rle, _ = rle_from_segmentation(field(record, 'segmentation', object, where), *labels.shape)
        except ValueError as error:
            raise InputError(f'{where}: {error}') from None
        inside = np.zeros(labels.shape, dtype=bool) if rle is None else coco_mask.decode(rle) != 0
        found = [label for label in np.unique(labels[inside]).tolist() if label in own]
        for label in found:
            mask = inside & (labels == label)
            self.document.add(image_id, label, mask, obj_ann_id=key)
            rest[mask] = IGNORED
        self.counts['objects with parts'] += bool(found)
        self.counts['owned'] += len(found)
        listed = record.get('part_category_id', [])
        if not isinstance(listed, list) or not all(isinstance(each, int) for each in listed):
            raise InputError(f"{where}: 'part_category_id' is {listed!r}, not a list of labels; use the file as it "
                             'was published')
        self.counts['listed in vain'] += len(set(listed) - set(found))

    def lines(self) -> list[str]:
        """Return what became of everything."""
        counts, document = self.counts, self.document
        used = {each['category_id'] for each in document.annotations}
        shown = {each['image_id'] for each in document.annotations}
        bare = counts['objects'] - counts['objects with parts'] - counts['of another kind']
        return [
            account('photos', len(self.images), len(document.images), {}) + f'; {len(shown):,} of them with parts',
            account('objects whose parts are written', counts['objects'], counts['objects with parts'],
                    {'without a part in the map': bare, 'of none of the 44 kinds': counts['of another kind']}),
            account('parts', counts['owned'] + counts['ownerless'], len(document.annotations), {})
            + f"; {counts['ownerless']:,} of them ({counts['ownerless pixels']:,} pixels) in no object of their kind; "
            f"{counts['listed in vain']:,} more are listed by an object (part_category_id), but not in the map there",
            compare(len(used), len(document.categories), 'categories in these photos')]
