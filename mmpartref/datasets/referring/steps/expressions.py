"""Entry step that makes refs from annotations."""
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.argument_checks import check_choice
from mmpartref.datasets.coco.records import Annotation, Image, PartName, Ref
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.referring.names import Names
from mmpartref.datasets.referring.steps.entry_step import EntryStep, check_templated, make_ref
from mmpartref.datasets.referring.wordings import (
    DEFAULT_TEMPLATES,
    OBJECT_TEMPLATES,
    Wordings,
    check_object_templates,
    check_templates,
)
from mmpartref.errors import InputError
from mmpartref.registry import ENTRY_STEPS

Instances = Literal['merged', 'separate', 'object']
# ``ref['absent']`` where the json marks an expression as referring to nothing in the image.
NO_TARGET = 'no_target'
# Two objects are left and right of one another if their centres are this share of the image's width apart.
APART = 0.1
# The nearest of several objects is the one whose box has this many times the area of every other.
NEARER = 1.5


@ENTRY_STEPS.register_module()
class Expressions(EntryStep):
    """Make the refs of an image: from its annotations with templates, or from the json's own list ``referring``.

    A record of ``referring`` becomes one ref with its expressions; no template is used. Part and super-category are
    those of its annotations where they have one category; otherwise both are '' and ``category_id`` None. Dropped
    annotations are missing from their records; a record that loses all of them is dropped and counted.

    With ``instances='object'`` annotations need an ``object_id``. Where an image has several objects of a
    super-category, its name in the expressions is "left car", "right car" (of two), "leftmost car", "rightmost car" (of
    more) or "nearest car" (the one with by far the largest box), and ``ref['position']`` has that word. Objects that no
    such word distinguishes give no ref and are counted. ``evaluation.diagnosis.left_right`` reads these words.

    Args:
        templates: format strings with the fields ``{super_category}``, ``{part}`` and ``{class_name}``; the last falls
            back to the super-category where no class is known.
        object_templates: of whole objects, with the fields ``{super_category}`` and ``{class_name}``.
        instances: ``'merged'``: a ref is all annotations of a category in an image. ``'separate'``: a ref is one
            annotation. ``'object'``: a ref is all annotations of a category on one object.

    Raises:
        InputError: a template cannot be used, or there is no such value of ``instances``; in ``prepare``: the json has
            the list ``referring`` or no ``object_id``, and ``instances`` does not go with it.
    """

    def __init__(self, templates: Sequence[str] = DEFAULT_TEMPLATES,
                 object_templates: Sequence[str] = OBJECT_TEMPLATES, instances: Instances = 'merged') -> None:
        check_choice(instances, 'instances', get_args(Instances))
        self.templates = check_templates(templates)
        self.object_templates = check_object_templates(object_templates)
        self.instances = instances

    def prepare(self, document: CocoParts, names: Names) -> None:
        """Set the templates of ``names.wordings``; raises an InputError if the json does not suit ``instances``."""
        names.wordings = Wordings(self.templates, self.object_templates)
        self.document = document
        self.names = names
        self.counts = {'annotations': 0, 'objects': 0, 'positions': 0}
        if self.instances != 'merged':
            check_templated(document, f'instances={self.instances!r}')
        if self.instances == 'object' and not any(
                annotation.object_id is not None for image in document.images for annotation in image.annotations):
            raise InputError(f"{document.ann_file} has no 'object_id', which instances='object' needs; write one with "
                             "each annotation (tools/convert_dataset.py does), or use instances='merged'")

    def apply(self, image: Image, refs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add one ref per category, annotation, object's category or record of ``referring``."""
        if self.document.referring is not None:
            made = self._from_records(image, self.document.referring.get(image.img_id, ()))
        elif self.instances == 'object':
            made = self._of_objects(image)
        else:
            made = self._of_categories(image)
        levels = {each.ann_id: self.document.categories[each.category_id].level for each in image.annotations}
        for ref in made:
            found = {levels[ann_id] for ann_id in ref['ann_ids']}
            if len(found) == 1 and found <= {'object', 'subpart'}:
                ref['level'] = found.pop()
        return refs + made

    def _of_categories(self, image: Image) -> list[dict[str, Any]]:
        groups: dict[str, list[Annotation]] = {}
        for annotation in image.annotations:
            ref_id = f'{image.img_id}:{annotation.category_id}'
            if self.instances == 'separate':
                ref_id = f'{ref_id}:{annotation.ann_id}'
            groups.setdefault(ref_id, []).append(annotation)
        refs = []
        for ref_id, members in groups.items():
            name = self.names[members[0].category_id]
            refs.append(make_ref(ref_id, members[0].category_id, name, *self.names.words(image, name), members))
        return refs

    def _from_records(self, image: Image, records: Iterable[Ref]) -> list[dict[str, Any]]:
        available = {each.ann_id: each for each in image.annotations}
        refs = []
        for record in records:
            members = [available[ann_id] for ann_id in record.ann_ids if ann_id in available]
            if record.ann_ids and not members:
                self.document.statistics.refs_dropped += 1
                continue
            self.counts['annotations'] += len(record.ann_ids) - len(members)
            categories = {each.category_id for each in members}
            category_id = categories.pop() if len(categories) == 1 else None
            name = PartName('', '') if category_id is None else self.names[category_id]
            more = {} if record.source is None else {'source': record.source}
            if not members:
                more['absent'] = NO_TARGET
            refs.append(make_ref(record.ref_id, category_id, name, None, record.expressions, members, **more))
        return refs

    def _of_objects(self, image: Image) -> list[dict[str, Any]]:
        objects: dict[tuple[str, Any], list[Annotation]] = {}
        for each in image.annotations:
            if each.object_id is None:
                self.counts['annotations'] += 1
            else:
                # Ids that are equal as text make equal ref ids.
                owner = self.names[each.category_id].super_category
                objects.setdefault((owner, str(each.object_id)), []).append(each)
        positions = object_positions({key: coco_mask.toBbox(coco_mask.merge([each.rle for each in members]))
                                      for key, members in objects.items()}, image.width)
        refs = []
        for (owner, object_id), members in objects.items():
            words = positions[owner, object_id]
            if not words:
                self.counts['objects'] += 1
                continue
            self.counts['positions'] += words != ['']
            groups: dict[int, list[Annotation]] = {}
            for each in members:
                groups.setdefault(each.category_id, []).append(each)
            for category_id, group in groups.items():
                name = self.names[category_id]
                class_name = self.names.class_name(image, name)
                expressions = [text for word in words for text in self.names.wordings(
                    PartName(f'{word} {owner}'.strip(), name.part), class_name and f'{word} {class_name}'.strip())]
                more = {} if words == [''] else {'position': words[0]}
                refs.append(make_ref(f'{image.img_id}:{category_id}:{object_id}', category_id, name, class_name,
                                     expressions, group, object_id=members[0].object_id, **more))
        return refs

    def finish(self) -> str:
        """Return where the expressions come from, and what was dropped."""
        document = self.document
        del self.document, self.names
        if document.referring is not None:
            records = sum(map(len, document.referring.values()))
            dropped = document.statistics.refs_dropped
            return (f"expressions  the json's own: {records:,} records, {dropped:,} dropped because all of their "
                    f"annotations were, {self.counts['annotations']:,} annotations missing from the others")
        text = f'templates    {list(self.templates)}, instances={self.instances!r}'
        if self.instances == 'object':
            text += (f"; {self.counts['positions']:,} objects by their position; dropped: {self.counts['objects']:,} "
                     f"objects that no position distinguishes, {self.counts['annotations']:,} annotations without "
                     'object_id')
        return text


def object_positions(boxes: dict[tuple[str, Any], np.ndarray], width: int) -> dict[tuple[str, Any], list[str]]:
    """Return words that distinguish the objects of an image.

    Args:
        boxes: x, y, width, height in pixels by (super-category, object id).
        width: of the image, in pixels.

    Returns:
        ``['']`` for the only object of its super-category; otherwise some of left, right, leftmost, rightmost and
        nearest, or an empty list.
    """
    found: dict[tuple[str, Any], list[str]] = {}
    for owner in dict.fromkeys(owner for owner, _ in boxes):
        keys = [key for key in boxes if key[0] == owner]
        if len(keys) == 1:
            found[keys[0]] = ['']
            continue
        centres = {key: boxes[key][0] + boxes[key][2] / 2 for key in keys}
        order = sorted(keys, key=lambda key: centres[key])
        words: dict[tuple[str, Any], list[str]] = {key: [] for key in keys}
        left, right = ('left', 'right') if len(keys) == 2 else ('leftmost', 'rightmost')
        if centres[order[1]] - centres[order[0]] >= APART * width:
            words[order[0]].append(left)
        if centres[order[-1]] - centres[order[-2]] >= APART * width:
            words[order[-1]].append(right)
        areas = sorted(((boxes[key][2] * boxes[key][3], key) for key in keys), key=lambda pair: -pair[0])
        if areas[0][0] >= NEARER * areas[1][0]:
            words[areas[0][1]].append('nearest')
        found.update(words)
    return found
