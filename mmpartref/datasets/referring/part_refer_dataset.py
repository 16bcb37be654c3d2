"""Any COCO part json as a referring data set."""
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from mmengine import fileio
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log

from mmpartref.datasets.coco.dataset_statistics import PartStatistics
from mmpartref.datasets.coco.read_coco import CocoParts, read_coco_parts
from mmpartref.datasets.coco.records import LEVELS, Category, PartName, Photo
from mmpartref.datasets.referring.dataset_entries import (
    check_indices,
    count_expressions_of,
    entries_of,
    negative_refs,
    one_ref_per_wording,
    photo_refs,
    referring_refs,
)
from mmpartref.datasets.referring.expressions import (
    DEFAULT_TEMPLATES,
    Wordings,
    check_templates,
    name_categories,
    split_category,
)
from mmpartref.datasets.referring.levels import (
    OBJECT_TEMPLATES,
    check_object_templates,
    count_levels_of,
    fill_level,
    object_name,
    object_refs,
    set_levels,
)
from mmpartref.datasets.referring.missing_images import are_missing
from mmpartref.datasets.referring.steps.absent_parts import AbsentPartSampler
from mmpartref.datasets.referring.steps.image_labels import IDS, PhotoLabels
from mmpartref.datasets.transforms.load_image import LoadImage
from mmpartref.errors import InputError
from mmpartref.registry import DATASETS, ENTRY_STEPS

GROUP_BY = ('image', 'expression')
INSTANCES = ('merged', 'separate')
WORDINGS = ('draw', 'each')
ON_BAD_SAMPLE = ('raise', 'skip')


@DATASETS.register_module()
class PartReferDataset(BaseDataset):
    """Photos and the expressions that name parts in them, from a COCO json.

    Life cycle: the json is read once (``full_init``), every mask becomes a compressed RLE, every part category a
    ``ref`` with its expressions; a summary of what was kept, left out and mended is printed and stays in
    ``statistics``. The entries are then serialised into one array, which worker processes share.

    An entry is ``{'img_id', 'img_path', 'height', 'width', 'refs'}``; a ref is::

        ref_id          '<img_id>:<category_id>', and ':<ann_id>' behind it for instances='separate'
        category_id     as in the json
        part            lower case, e.g. 'side mirror'
        super_category  lower case, e.g. 'car'; '' where the json gives none
        class_name      lower case, or None
        expressions     every template filled in, in the order of the templates
        ann_ids, rles   one per annotation; compressed COCO RLE at the photo's own size
        level           'object' or 'subpart'; not there where it is a part

    Of an object (``objects``, or a category whose ``level`` is ``'object'``) ``part`` is ''.

    With ``absent`` there are also refs of parts that are not in the photo, behind the others: ``ann_ids`` and ``rles``
    are empty, ``category_id`` is None where there is no such category, and ``ref['absent']`` is the kind (see
    ``AbsentPartSampler``; the other refs have no such key). They are drawn when an item is read, in training anew in
    each epoch (``set_epoch``).

    A json with a list ``referring`` (``referring.read_referring``; ``tools/convert_dataset.py`` writes some) brings its
    own expressions along: each record is a ref, ``ref_id`` its id, and no template is used. What its annotations are of
    is said under ``referring_refs``; a record without annotations is a ref of the absent kind ``'no_target'``. Refs
    have the key ``source``, the data set that they come from, where the json or the argument names it.

    What happens to the json's faults (each counted in ``statistics``):

    - crowd annotations and annotations of zero area (``area`` is 0, or the mask covers no pixel) are left out;
    - polygon rings of fewer than three points are discarded (pycocotools reads four numbers as a box), and the
      annotation is left out when no ring remains;
    - photos without parts yield no item;
    - backslashes in file names become slashes;
    - polygons may leave the photo and are cut off at its border;
    - everything that would need guessing is refused: an RLE of another size than its photo, run lengths that do not
      fill it, ids that occur twice or point to nothing, missing keys, two categories of one meaning.

    Names come from the json, never from ids: the part is the category's key ``part`` or, without one, its name without
    its super-category in front.

    Args:
        ann_file: the json, relative to ``data_root``.
        data_root: folder of both.
        data_prefix: ``dict(img=folder of the photos)``, relative to ``data_root``.
        group_by: ``'image'``: one item per photo with its K expressions. ``'expression'``: one item per expression.
        instances: ``'merged'``: an expression refers to all annotations of its category in the photo.
            ``'separate'``: one ref per annotation.
        templates: format strings with the fields ``{super_category}``, ``{part}`` and ``{class_name}``; the last falls
            back to the super-category where no class is known.
        objects: format strings with ``{super_category}`` and ``{class_name}``, e.g. ``['the {super_category}']``: ask
            about the whole object of each super-category in the photo as well, the union of its annotated parts. None
            does not; objects that the json annotates (categories with ``"level": "object"``) are asked about anyway.
        level: ``'object'``, ``'part'`` or ``'subpart'``: what categories are whose record does not say it. ``'object'``
            is for jsons of objects such as COCO's; ``objects`` then words them (default ``'the {super_category}'``).
        wordings: ``'draw'``: a ref has all its wordings, of which ``DrawExpressions`` takes one in each epoch; without
            it the first one is asked. ``'each'``: every wording is a ref of its own, as RefCOCO is evaluated.
        absent: arguments of the ``AbsentPartSampler``, e.g. ``dict(number=1)``; None asks about no absent part.
        negatives: ask about up to so many of the categories that the json calls absent from a photo
            (``neg_category_ids``, as LVIS and PACO have them), the same in every epoch; kind ``'no_target'``.
        source: what expressions that the json gives no source of keep as theirs; default: its ``info['source']``.
        id_prefix: put in front of every ``img_id`` and ``ref_id``, e.g. ``'refcoco/'``, so that those of data sets that
            are evaluated together differ.
        photo_labels: items also say which part categories the photo shows (``part_presence``), for a model with a
            ``MultiLabelPresenceHead``. What is not annotated counts as not there, so the json has to annotate all parts
            of its categories.
        protocol: what of the json a zero-shot or transfer protocol shows (``protocols.build_data_protocol``), e.g.
            ``dict(name='partimagenet_parts_25_15', role='seen')``; what it leaves out is counted in ``statistics``.
        on_bad_sample: a photo that cannot be read or decoded, or is of another size than the json says, ends the run
            with a sentence that names it (``'raise'``); or is left out (``'skip'``): it takes no part in the loss or in
            the metrics, ``BadSampleHook`` and ``ReferringSegMetric`` count and name it. Needs ``LoadImage``.
        metainfo: entries that replace those read from the json: ``categories`` (one dict with ``id``, ``name`` as
            written, ``part`` and ``super_category`` each), ``category_names`` and ``super_categories`` (distinct), and
            ``protocol`` where there is one (name, fold and role).
        indices: use the first n items (int) or these (sequence); ``statistics`` still describes the whole json.
        serialize_data, pipeline, test_mode, lazy_init, max_refetch: as in ``mmengine.dataset.BaseDataset``.

    Raises:
        FileNotFoundError: there is no ``ann_file``.
        ValueError: an argument or a record of the json cannot be used.
    """

    _metainfo: dict

    def __init__(self,
                 *,
                 ann_file: str,
                 data_root: str = '',
                 data_prefix: Mapping[str, str] | None = None,
                 group_by: Literal['image', 'expression'] = 'image',
                 instances: Literal['merged', 'separate'] = 'merged',
                 templates: Sequence[str] = DEFAULT_TEMPLATES,
                 objects: Sequence[str] | None = None,
                 level: Literal['object', 'part', 'subpart'] = 'part',
                 wordings: Literal['draw', 'each'] = 'draw',
                 absent: Mapping[str, Any] | None = None,
                 negatives: int = 0,
                 source: str | None = None,
                 id_prefix: str = '',
                 photo_labels: bool = False,
                 protocol: Mapping[str, Any] | None = None,
                 on_bad_sample: Literal['raise', 'skip'] = 'raise',
                 metainfo: Mapping | None = None,
                 indices: int | Sequence[int] | None = None,
                 serialize_data: bool = True,
                 pipeline: Sequence[dict | Callable] = (),
                 test_mode: bool = False,
                 lazy_init: bool = False,
                 max_refetch: int = 1000) -> None:
        if group_by not in GROUP_BY:
            raise InputError(f'group_by={group_by!r} is unknown; choose one of {GROUP_BY}')
        if instances not in INSTANCES:
            raise InputError(f'instances={instances!r} is unknown; choose one of {INSTANCES}')
        if level not in LEVELS:
            raise InputError(f'level={level!r} is unknown; choose one of {LEVELS}')
        if wordings not in WORDINGS:
            raise InputError(f'wordings={wordings!r} is unknown; choose one of {WORDINGS}')
        if negatives < 0:
            raise InputError(f'negatives={negatives} should be the most absent categories asked about in a photo, or 0')
        if on_bad_sample not in ON_BAD_SAMPLE:
            raise InputError(f'on_bad_sample={on_bad_sample!r} is unknown; choose one of {ON_BAD_SAMPLE}')
        prefix = dict(data_prefix) if data_prefix is not None else {'img': ''}
        if prefix.keys() != {'img'}:
            raise InputError(f"data_prefix={prefix!r} should be dict(img='folder of the photos')")
        self.group_by = group_by
        self.instances = instances
        self.templates = check_templates(templates)
        self.objects = None if objects is None else check_templates(objects)
        check_object_templates(self.objects or ())
        self.level = level
        self.wordings = wordings
        self.negatives = negatives
        self.source = source
        self.id_prefix = id_prefix
        self.photo_labels = photo_labels
        self._labels: PhotoLabels | None = None
        self.on_bad_sample = on_bad_sample
        self.absent = None if absent is None else AbsentPartSampler(**absent)
        self.protocol = None
        if protocol is not None:
            self.protocol = ENTRY_STEPS.build({'type': 'Protocol', 'protocol': dict(protocol)})
        self._statistics = PartStatistics()
        self._expression_counts = np.zeros((0, 3), dtype=np.int64)
        self._missing = np.zeros(0, dtype=bool)
        super().__init__(
            ann_file=ann_file, metainfo=metainfo, data_root=data_root, data_prefix=prefix, indices=indices,
            serialize_data=serialize_data, pipeline=list(pipeline), test_mode=test_mode, lazy_init=lazy_init,
            max_refetch=max_refetch)
        steps = self.pipeline.transforms
        if on_bad_sample == 'skip' and steps and not any(isinstance(step, LoadImage) for step in steps):
            raise InputError("on_bad_sample='skip' is what LoadImage does, which is not in the pipeline; put it there, "
                             "or leave on_bad_sample='raise'")

    @property
    @force_full_init
    def statistics(self) -> PartStatistics:
        """What became of the json's photos and annotations."""
        return self._statistics

    # What a data set with more knowledge of its names replaces.

    def name_category(self, category: Category) -> PartName:
        """Return what a category means."""
        return split_category(category.name, category.super_category, category.part)

    def class_name(self, photo: Photo, name: PartName) -> str | None:
        """Return the class of the object that a part of this photo belongs to, lower case, or None."""
        del photo, name
        return None

    def photo_super_category(self, photo: Photo) -> str | None:
        """Return a super-category that the photo is known to show, annotated or not, lower case, or None."""
        del photo
        return None

    def possible_parts(self) -> list[tuple[str, str]]:
        """Return combinations (super-category, part) that exist although the json has no category for them."""
        return []

    def photo_resolver(self, parts: CocoParts) -> Callable[[str], str]:
        """Return the function from a file name of the json to the path below ``data_prefix['img']``."""
        del parts
        return str

    def describe(self, parts: CocoParts, names: Mapping[int, PartName]) -> list[str]:
        """Return sentences for the summary."""
        del parts
        return [f'categories   {len(names)}, super-categories {len({name.super_category for name in names.values()})}']

    # Loading.

    def load_data_list(self) -> list[dict]:
        """Read the json into entries; sets ``statistics`` and ``metainfo``, prints the summary."""
        parts = read_coco_parts(self.ann_file)
        fill_level(parts.categories, self.level)
        names = name_categories(self.ann_file, parts.categories, self._name_category)
        if self.protocol is not None:
            self.protocol.apply(parts, names, self.ann_file, self.data_root)
        resolve = self.photo_resolver(parts)
        wordings = Wordings(self.templates, self.objects or OBJECT_TEMPLATES)
        left_out: Counter[str] = Counter()
        if parts.referring is not None:
            self._check_referring()
        if self.absent is not None:
            self.absent.learn(parts, names, wordings, self.class_name, self.possible_parts())
        if self.photo_labels:
            self._labels = PhotoLabels(parts, names)
        entries = []
        for photo in parts.photos:
            refs = self._refs_of(photo, parts, names, wordings, left_out)
            head = {
                'img_id': photo.img_id,
                'img_path': fileio.join_path(self.data_prefix['img'], resolve(photo.file_name)),
                'height': photo.height,
                'width': photo.width,
                **({IDS: PhotoLabels.ids_of(photo)} if self.photo_labels else {})
            }
            plan = None
            if refs and self.absent is not None:
                plan = self.absent.plan(photo, self.class_name, self.photo_super_category(photo))
            entries += entries_of(head, refs, plan, self.group_by)
        if not entries:
            what = 'annotated part' if parts.referring is None else 'expression'
            raise InputError(f'{self.ann_file}: no {what} is left: {parts.statistics.in_short()}; check that it is the '
                             'json meant')
        if self._indices is not None:
            check_indices(self._indices, len(entries), self.ann_file)
        counts = np.array([count_expressions_of(entry) for entry in entries], dtype=np.int64)
        self._expression_counts = np.array([
            count_levels_of(entry, sum(pair) - len(entry['refs']))
            for entry, pair in zip(entries, counts.tolist(), strict=True)
        ], dtype=np.int64)  # (items, levels)
        self._missing = are_missing([entry['img_path'] for entry in entries])
        parts.statistics.items = len(entries)
        parts.statistics.expressions, parts.statistics.absent_expressions = counts.sum(axis=0).tolist()
        if parts.referring is not None:
            records = sum(len(each) for each in parts.referring.values())
            parts.statistics.notes.append(
                f"referring    {records:,} records with expressions of their own, {left_out['records']:,} left out "
                f"because none of their annotations is left, {left_out['annotations']:,} annotations missing from "
                'the others')
        self._finish(parts, names)
        return entries

    def _check_referring(self) -> None:
        """Refuse what only makes sense where templates make the expressions."""
        for argument, used in (('absent', self.absent is not None), ('negatives', self.negatives > 0),
                               ("instances='separate'", self.instances == 'separate'),
                               ('objects', self.objects is not None)):
            if used:
                raise InputError(f"{self.ann_file} has expressions of its own ('referring'), which {argument} cannot "
                                 'add to or divide; leave that argument out')

    def _name_category(self, category: Category) -> PartName:
        name = self.name_category(category)
        return object_name(name) if category.level == 'object' else name

    def _refs_of(self, photo: Photo, parts: CocoParts, names: Mapping[int, PartName], wordings: Wordings,
                 left_out: Counter[str]) -> list[dict]:
        """Return a photo's refs, none where it has no part and the json no expression for it."""
        if parts.referring is not None:
            refs = referring_refs(photo, parts.referring.get(photo.img_id, ()), names, left_out)
        else:
            refs = photo_refs(photo, names, self.class_name, wordings, self.instances)
        set_levels(refs, photo, parts.categories)
        if self.objects is not None:
            refs += object_refs(photo, names, parts.categories, self.class_name, wordings)
        if refs and self.negatives:
            refs += negative_refs(photo, names, self.class_name, wordings, self.negatives)
        source = self.source or parts.source
        if source is not None:
            refs = [{'source': source, **ref} for ref in refs]
        return one_ref_per_wording(refs) if self.wordings == 'each' else refs

    def _finish(self, parts: CocoParts, names: Mapping[int, PartName]) -> None:
        """Note and print what was loaded."""
        read: dict[str, Any] = {
            'categories': [{'id': key, 'name': parts.categories[key].name, **name._asdict()}
                           for key, name in names.items()],
            'category_names': [category.name for category in parts.categories.values()],
            'super_categories': list(dict.fromkeys(name.super_category for name in names.values())),
        }
        if self.protocol is not None:
            read['protocol'] = self.protocol.identity
        self._metainfo = {**read, **self._metainfo}
        self._statistics = parts.statistics
        self._statistics.notes += [
            self._describe_wording(parts),
            *self.describe(parts, names)
        ]
        if self.absent is not None:
            self._statistics.notes.append(f'absent       {self._statistics.absent_expressions:,} more expressions, of '
                                          f'parts that are not there: {self.absent.describe()}')
        if self._indices is not None:
            shown = self._indices if isinstance(self._indices, int) else f'{len(self._indices)} chosen'
            self._statistics.notes.append(f'indices      {shown} of these items are used')
        print_log(f'{type(self).__name__} {self.ann_file}\n{self._statistics.summary()}', logger='current')

    def _describe_wording(self, parts: CocoParts) -> str:
        how = f"group_by={self.group_by!r}, wordings={self.wordings!r}"
        if parts.referring is not None:
            return f"wording      the json's own; {how}"
        objects = '' if self.objects is None else f', objects={list(self.objects)}'
        return f'wording      instances={self.instances!r}, {how}, templates={list(self.templates)}{objects}'

    # Absent parts, and photos that cannot be read.

    def get_data_info(self, idx: int) -> dict:
        """Return an entry, with the absent parts of this epoch."""
        entry = super().get_data_info(idx)
        if self.on_bad_sample == 'skip':
            entry['on_bad_sample'] = 'skip'
        if self.absent is not None:
            self.absent.fill(entry)
        if self._labels is not None:
            self._labels.fill(entry)
        if self.id_prefix:
            entry['img_id'] = f"{self.id_prefix}{entry['img_id']}"
            entry['refs'] = [{**ref, 'ref_id': f"{self.id_prefix}{ref['ref_id']}"} for ref in entry['refs']]
        return entry

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch in which absent parts are drawn; ``DatasetEpochHook`` calls it in training."""
        if self.absent is not None:
            self.absent.set_epoch(epoch)

    # Counting without reading the entries again.

    def full_init(self) -> None:
        """Load and serialise, once."""
        if self._fully_initialized:
            return
        super().full_init()
        if self._indices is not None:
            self._cut_counts(self._indices)

    @force_full_init
    def num_expressions(self) -> np.ndarray:
        """Return (len(self),): expressions per item, as many as leave the pipeline.

        A transform with ``max_expressions`` (``DrawExpressions``) caps them; with ``DrawLevel`` it is the average.
        """
        counts = self._expression_counts  # (items, levels)
        for transform in self.pipeline.transforms:
            if hasattr(transform, 'expected_expressions'):
                counts = transform.expected_expressions(counts)
        caps = [getattr(transform, 'max_expressions', None) for transform in self.pipeline.transforms]
        return np.minimum(counts.sum(axis=1), min([cap for cap in caps if cap], default=np.iinfo(np.int64).max))

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the ids of the categories that an item shows, for mmengine's ``ClassBalancedDataset``."""
        refs = self.get_data_info(idx)['refs']
        return [ref['category_id'] for ref in refs if 'absent' not in ref and ref['category_id'] is not None]

    @force_full_init
    def missing_photos(self) -> list[dict]:
        """Return the entries whose photo did not exist when the json was read."""
        return [super(PartReferDataset, self).get_data_info(idx) for idx in np.flatnonzero(self._missing).tolist()]

    def _cut_counts(self, indices: int | Sequence[int]) -> None:
        chosen = list(indices) if not isinstance(indices, int) else (
            slice(indices) if indices >= 0 else slice(indices, None))
        self._expression_counts, self._missing = self._expression_counts[chosen], self._missing[chosen]

    @force_full_init
    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Keep the first n items (int), the last n (negative) or these (sequence)."""
        super().get_subset_(indices)
        self._cut_counts(indices)

    @force_full_init
    def get_subset(self, indices: int | Sequence[int]) -> 'PartReferDataset':
        """Return a copy with the first n items (int), the last n (negative) or these (sequence)."""
        subset = super().get_subset(indices)
        subset._cut_counts(indices)
        return subset
