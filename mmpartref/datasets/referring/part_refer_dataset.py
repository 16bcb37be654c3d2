"""Any COCO part json as a referring dataset."""
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from mmengine import fileio
from mmengine.dataset import BaseDataset, force_full_init

from mmpartref.argument_checks import (
    check_choice,
    check_integer,
    check_path,
    check_text,
)
from mmpartref.datasets.coco.dataset_statistics import PartStatistics
from mmpartref.datasets.coco.read_coco import read_coco
from mmpartref.datasets.coco.records import LEVELS, Category, Image, PartName, split_category
from mmpartref.datasets.coco.validate import CocoParts, nothing_left
from mmpartref.datasets.referring.base_arguments import check_base_values
from mmpartref.datasets.referring.dataset_entries import (
    PLANS,
    check_indices,
    check_position,
    count_levels,
    count_refs,
    group_entries,
    one_ref_per_expression,
    read_indices,
)
from mmpartref.datasets.referring.missing_images import are_missing
from mmpartref.datasets.referring.names import Names
from mmpartref.datasets.referring.steps.entry_step import build_steps, check_arguments
from mmpartref.datasets.transforms.load_image import LoadImage
from mmpartref.errors import InputError
from mmpartref.registry import DATASETS
from mmpartref.run_log import log_detail
from mmpartref.seeding import EpochDraws

GroupBy = Literal['image', 'expression']
ExpressionMode = Literal['sample', 'all']
OnBadImage = Literal['raise', 'skip']
Level = Literal['object', 'part', 'subpart']
# Of the draws; torch stores it in 64 bits.
MAX_EPOCH = 2**31


@DATASETS.register_module()
class PartReferDataset(BaseDataset):
    """Images with referring expressions for their parts, from a COCO json.

    Life cycle: ``full_init`` reads and validates the json (``coco.validate``), passes every image through the entry
    steps, groups the refs into items and serialises them into one array that worker processes share. A summary of what
    was used, dropped and repaired is printed and available as ``statistics``.

    An entry is ``{'img_id', 'img_path', 'height', 'width', 'refs'}``; a ref is::

        ref_id          '<img_id>:<category_id>', then ':<ann_id>' if instances='separate', ':<object_id>' if 'object'
        category_id     as in the json
        part            lower case, e.g. 'side mirror'; '' of a whole object
        super_category  lower case, e.g. 'car'; '' where the json has none
        class_name      lower case, or None
        expressions     every template filled in, in the order of the templates
        ann_ids, rles   one per annotation; compressed COCO RLE at the image's size
        level           'object' or 'subpart'; missing for a part
        absent          kind of a ref without annotations: the part is not in the image; missing for the others
        source          dataset that the ref comes from, where the json or the argument gives it

    What happens to faults of the json (each counted in ``statistics``): crowd annotations and annotations whose mask
    covers no pixel are dropped; polygon rings of fewer than three points are dropped; images without refs give no item;
    backslashes in file names become slashes; polygons are clipped at the image's border. Everything else is an error,
    for example an RLE of another size than its image, ids that occur twice or point to nothing, missing keys, or two
    categories of one meaning.

    Names come from the json, never from ids: the part is the category's key ``part`` or, without one, its name without
    its super-category in front.

    Args:
        ann_file: the json, relative to ``data_root``; paths are strings or ``Path`` objects.
        data_root: folder of json and images.
        data_prefix: ``dict(img='folder of the images')``, relative to ``data_root``.
        entries: arguments of the entry steps by name, None to turn one off. In their order: ``protocol``
            (``Protocol``), ``expressions`` (``Expressions``: templates, instances), ``objects`` (``WholeObjects``),
            ``negatives`` (``NegativeCategories``), ``labels`` (``ImageLabels``), ``absent`` (``AbsentParts``); then
            steps of other names, which need a ``type``. Only ``expressions`` is on by default; ``dict(absent=dict())``
            adds one absent part per image.
        group_by: ``'image'``: one item per image with all its refs. ``'expression'``: one item per ref.
        expression_mode: ``'sample'``: a ref has all its expressions, one of which ``DrawExpressions`` samples in each
            epoch; without it the first is used. ``'all'``: every expression is a ref, as RefCOCO is evaluated.
        level: level of categories whose record has no ``level``: ``'object'`` is for jsons of whole objects, as COCO's.
        source: ``ref['source']`` where the json gives none; default: its ``info['source']``.
        id_prefix: put in front of every ``img_id`` and ``ref_id``, e.g. ``'refcoco/'``, so that the ids of datasets
            that are evaluated together differ.
        on_bad_image: an image that is missing, cannot be decoded or does not have the json's size ends the run
            (``'raise'``) or is *skipped* (``'skip'``): ``LoadImage`` replaces it by a grey image,
            ``ReferringDataPreprocessor`` drops it from the batch, so that it adds nothing to the loss, and
            ``SkippedImagesHook`` and the metrics count and name it. Needs ``LoadImage``.
        **kwargs: ``metainfo``, ``indices``, ``serialize_data``, ``pipeline``, ``test_mode``, ``lazy_init`` and
            ``max_refetch`` as in ``mmengine.dataset.BaseDataset``. ``metainfo`` replaces what is read from the json:
            ``categories`` (dicts with ``id``, ``name``, ``part``, ``super_category``), ``category_names``,
            ``super_categories``, and ``protocol`` where there is one. ``statistics`` describes the whole json even
            with ``indices``.

    Raises:
        MissingFileError: ``ann_file`` does not exist.
        InputTypeError: an argument is of another type, or there is none of this name.
        InputError: an argument or a record of the json cannot be used.
    """

    _metainfo: dict

    def __init__(self,
                 *,
                 ann_file: str | os.PathLike,
                 data_root: str | os.PathLike = '',
                 data_prefix: Mapping[str, str | os.PathLike] | None = None,
                 entries: Mapping[str, Mapping[str, Any] | None] | None = None,
                 group_by: GroupBy = 'image',
                 expression_mode: ExpressionMode = 'sample',
                 level: Level = 'part',
                 source: str | None = None,
                 id_prefix: str = '',
                 on_bad_image: OnBadImage = 'raise',
                 **kwargs: Any) -> None:
        for name, value, allowed in (('group_by', group_by, get_args(GroupBy)), ('level', level, LEVELS),
                                     ('expression_mode', expression_mode, get_args(ExpressionMode)),
                                     ('on_bad_image', on_bad_image, get_args(OnBadImage))):
            check_choice(value, name, allowed)
        prefix = {'img': ''} if data_prefix is None else data_prefix
        if not isinstance(prefix, Mapping) or prefix.keys() != {'img'}:
            raise InputError(f"data_prefix={prefix!r} should be dict(img='folder of the images')")
        check_arguments(type(self).__name__, kwargs)
        kwargs = check_base_values(kwargs)
        self.group_by = group_by
        self.expression_mode = expression_mode
        self.level = level
        self.source = None if source is None else check_text(source, 'source')
        self.id_prefix = check_text(id_prefix, 'id_prefix')
        self.on_bad_image = on_bad_image
        self.steps = build_steps(entries)
        self._draws = EpochDraws()
        self._statistics = PartStatistics()
        self._expression_counts = np.zeros((0, len(LEVELS)), dtype=np.int64)
        self._missing = np.zeros(0, dtype=bool)
        super().__init__(ann_file=check_path(ann_file, 'ann_file'),
                         data_root='' if data_root is None else check_path(data_root, 'data_root'),
                         data_prefix={'img': check_path(prefix['img'], "data_prefix['img']")}, **kwargs)
        transforms = self.pipeline.transforms
        if on_bad_image == 'skip' and transforms and not any(isinstance(each, LoadImage) for each in transforms):
            raise InputError("on_bad_image='skip' is done by LoadImage, which is not in the pipeline; put it there, or "
                             "use on_bad_image='raise'")

    @property
    @force_full_init
    def statistics(self) -> PartStatistics:
        """Counts of the json's images and annotations."""
        return self._statistics

    # For subclasses that know more about their names.

    def name_category(self, category: Category) -> PartName:
        """Return the meaning of a category."""
        return split_category(category)

    def class_name(self, image: Image, name: PartName) -> str | None:
        """Return the class of the object that a part in this image belongs to, lower case, or None."""
        del image, name
        return None

    def image_super_category(self, image: Image) -> str | None:
        """Return a super-category that is known to be in the image, annotated or not, lower case, or None."""
        del image
        return None

    def possible_parts(self) -> list[tuple[str, str]]:
        """Return combinations (super-category, part) that exist although the json has no category for them."""
        return []

    def image_resolver(self, document: CocoParts) -> Callable[[str], str]:
        """Return a function from a file name of the json to the path below ``data_prefix['img']``."""
        del document
        return str

    def describe(self, document: CocoParts) -> list[str]:
        """Return lines for the summary."""
        owners = {name.super_category for name in document.names.values()}
        return [f'categories   {len(document.names)}, super-categories {len(owners)}']

    # Loading.

    def load_data_list(self) -> list[dict]:
        """Read the json and return its entries; sets ``statistics`` and ``metainfo``, prints the summary."""
        document = read_coco(self.ann_file, self.name_category, self.level)
        document.data_root = self.data_root
        names = Names(document.names, self.class_name, self.image_super_category, self.possible_parts())
        for step in self.steps.values():
            step.prepare(document, names)
        resolve = self.image_resolver(document)
        entries = []
        for image in document.images:
            refs: list[dict] = []
            for step in self.steps.values():
                refs = step.apply(image, refs)
            plans = {name: plan for name, step in self.steps.items()
                     if refs and (plan := step.plan(image, refs)) is not None}
            head = {'img_id': image.img_id, 'height': image.height, 'width': image.width,
                    'img_path': fileio.join_path(self.data_prefix['img'], resolve(image.file_name))}
            entries += group_entries(head, self._finish_refs(refs, document), plans, self.group_by)
        if not entries:
            raise InputError(f'{self.ann_file}: {nothing_left(document)}; the entry steps were {", ".join(self.steps)}')
        self._count(entries, document)
        self._set_metainfo(document)
        log_detail(f'{type(self).__name__} {self.ann_file}\n{self._statistics.summary()}')
        return entries

    def _finish_refs(self, refs: list[dict], document: CocoParts) -> list[dict]:
        source = self.source or document.source
        if source is not None:
            refs = [{'source': source, **ref} for ref in refs]
        return one_ref_per_expression(refs) if self.expression_mode == 'all' else refs

    def _count(self, entries: list[dict], document: CocoParts) -> None:
        if self._indices is not None:
            check_indices(self._indices, len(entries), self.ann_file)
        self._expression_counts = np.array([count_levels(entry) for entry in entries], dtype=np.int64)
        self._missing = are_missing([entry['img_path'] for entry in entries])
        self._statistics = counts = document.statistics
        counts.items = len(entries)
        pairs = np.array([count_refs(entry) for entry in entries])
        counts.expressions, counts.absent_expressions = pairs.sum(axis=0).tolist()
        counts.notes += [line for step in self.steps.values() if (line := step.finish())]
        if counts.absent_expressions:
            counts.notes.append(f'absent       {counts.absent_expressions:,} more expressions, of absent parts')
        counts.notes += [f'grouping     group_by={self.group_by!r}, expression_mode={self.expression_mode!r}',
                         *self.describe(document)]
        if self._indices is not None:
            chosen = self._indices if isinstance(self._indices, int) else f'{len(self._indices)} chosen'
            counts.notes.append(f'indices      {chosen} of these items are used')

    def _set_metainfo(self, document: CocoParts) -> None:
        found: dict[str, Any] = {
            'categories': [{'id': key, 'name': document.categories[key].name, **name._asdict()}
                           for key, name in document.names.items()],
            'category_names': [category.name for category in document.categories.values()],
            'super_categories': list(dict.fromkeys(name.super_category for name in document.names.values())),
        }
        for step in self.steps.values():
            found.update(step.metainfo())
        self._metainfo = {**found, **self._metainfo}

    # Reading an item.

    def get_data_info(self, idx: int) -> dict:
        """Return an entry, with the refs that steps draw in this epoch.

        Raises:
            InputTypeError: ``idx`` is not an integer.
            MissingItemError: there is no such item; also an IndexError.
        """
        entry = super().get_data_info(check_position(idx, len(self), self.ann_file))
        if self.on_bad_image == 'skip':
            entry['on_bad_image'] = 'skip'
        for name, plan in entry.pop(PLANS).items():
            self.steps[name].draw(entry, plan, self._draws.epoch)
        if self.id_prefix:
            entry['img_id'] = f"{self.id_prefix}{entry['img_id']}"
            entry['refs'] = [{**ref, 'ref_id': f"{self.id_prefix}{ref['ref_id']}"} for ref in entry['refs']]
        return entry

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the steps' draws, from 0 up; ``DatasetEpochHook`` calls it in training."""
        self._draws.set_epoch(check_integer(epoch, 'epoch', 0, MAX_EPOCH))

    # Counting without reading the entries again.

    def full_init(self) -> None:
        """Load and serialise, once."""
        if self._fully_initialized:
            return
        super().full_init()
        if self._indices is not None:
            self._cut_counts(check_indices(self._indices, len(self._missing), self.ann_file))

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
        """Return the ids of an item's categories, for mmengine's ``ClassBalancedDataset``."""
        refs = self.get_data_info(idx)['refs']
        return [ref['category_id'] for ref in refs if 'absent' not in ref and ref['category_id'] is not None]

    @force_full_init
    def missing_images(self) -> list[dict]:
        """Return the entries whose image did not exist when the json was read."""
        return [super(PartReferDataset, self).get_data_info(idx) for idx in np.flatnonzero(self._missing).tolist()]

    def _cut_counts(self, positions: list[int]) -> None:
        self._expression_counts, self._missing = self._expression_counts[positions], self._missing[positions]

    @force_full_init
    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Reduce the dataset to the first n items (int), the last n (negative) or these (sequence).

        Raises:
            InputTypeError, InputError: ``indices`` are something else, out of range, or choose nothing.
        """
        positions = check_indices(read_indices(indices), len(self), self.ann_file)
        super().get_subset_(positions)
        self._cut_counts(positions)

    @force_full_init
    def get_subset(self, indices: int | Sequence[int]) -> 'PartReferDataset':
        """Return a copy with the first n items (int), the last n (negative) or these (sequence).

        Raises:
            InputTypeError, InputError: see ``get_subset_``.
        """
        positions = check_indices(read_indices(indices), len(self), self.ann_file)
        subset = super().get_subset(positions)
        subset._cut_counts(positions)
        return subset
