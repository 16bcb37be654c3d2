"""Any COCO part json as a referring data set."""
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from mmengine import fileio
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log

from mmpartref.registry import DATASETS

from .coco_parts import Category, CocoParts, Part, Photo, read_coco_parts
from .expressions import DEFAULT_TEMPLATES, PartName, check_templates, name_categories, render, split_category
from .part_statistics import PartStatistics

GROUP_BY = ('image', 'expression')
INSTANCES = ('merged', 'separate')


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

    What happens to the json's faults (each counted in ``statistics``):

    - crowd annotations and annotations of zero area (``area`` is 0, or the mask covers no pixel) are left out;
    - polygon rings of fewer than three points are discarded (pycocotools reads four numbers as a box), and the
      annotation is left out when no ring remains;
    - photos without parts yield no item;
    - backslashes in file names become slashes;
    - polygons may leave the photo and are cut off at its border;
    - everything that would need guessing is refused: an RLE of another size than its photo, run lengths that do not
      fill it, ids that occur twice or point to nothing, missing keys, two categories of one meaning.

    Names come from the json, never from ids: the part is the category's name without its super-category in front.

    Args:
        ann_file: the json, relative to ``data_root``.
        data_root: folder of both.
        data_prefix: ``dict(img=folder of the photos)``, relative to ``data_root``.
        group_by: ``'image'``: one item per photo with its K expressions. ``'expression'``: one item per expression.
        instances: ``'merged'``: an expression refers to all annotations of its category in the photo.
            ``'separate'``: one ref per annotation.
        templates: format strings with the fields ``{super_category}``, ``{part}`` and ``{class_name}``; the last falls
            back to the super-category where no class is known.
        metainfo: entries that replace those read from the json: ``categories`` (one dict with ``id``, ``name`` as
            written, ``part`` and ``super_category`` each), ``category_names`` and ``super_categories`` (distinct).
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
                 metainfo: Mapping | None = None,
                 indices: int | Sequence[int] | None = None,
                 serialize_data: bool = True,
                 pipeline: Sequence[dict | Callable] = (),
                 test_mode: bool = False,
                 lazy_init: bool = False,
                 max_refetch: int = 1000) -> None:
        if group_by not in GROUP_BY:
            raise ValueError(f'group_by={group_by!r} is unknown; choose one of {GROUP_BY}')
        if instances not in INSTANCES:
            raise ValueError(f'instances={instances!r} is unknown; choose one of {INSTANCES}')
        prefix = dict(data_prefix) if data_prefix is not None else {'img': ''}
        if prefix.keys() != {'img'}:
            raise ValueError(f"data_prefix={prefix!r} should be dict(img='folder of the photos')")
        self.group_by = group_by
        self.instances = instances
        self.templates = check_templates(templates)
        self._statistics = PartStatistics()
        self._expression_counts = np.zeros(0, dtype=np.int64)
        super().__init__(
            ann_file=ann_file, metainfo=metainfo, data_root=data_root, data_prefix=prefix, indices=indices,
            serialize_data=serialize_data, pipeline=list(pipeline), test_mode=test_mode, lazy_init=lazy_init,
            max_refetch=max_refetch)

    @property
    @force_full_init
    def statistics(self) -> PartStatistics:
        """What became of the json's photos and annotations."""
        return self._statistics

    # What a data set with more knowledge of its names replaces.

    def name_category(self, category: Category) -> PartName:
        """Return what a category means."""
        return split_category(category.name, category.super_category)

    def class_name(self, photo: Photo, name: PartName) -> str | None:
        """Return the class of the object that a part of this photo belongs to, lower case, or None."""
        del photo, name
        return None

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
        names = name_categories(self.ann_file, parts.categories, self.name_category)
        resolve = self.photo_resolver(parts)
        texts: dict[tuple[PartName, str | None], list[str]] = {}
        entries = []
        for photo in parts.photos:
            refs = self._refs_of(photo, names, texts)
            head = {
                'img_id': photo.img_id,
                'img_path': fileio.join_path(self.data_prefix['img'], resolve(photo.file_name)),
                'height': photo.height,
                'width': photo.width
            }
            if refs and self.group_by == 'image':
                entries.append({**head, 'refs': refs})
            else:
                entries += [{**head, 'refs': [ref]} for ref in refs]
        if not entries:
            raise ValueError(f'{self.ann_file}: no annotated part is left:\n{parts.statistics.summary()}')
        self._expression_counts = np.array([len(entry['refs']) for entry in entries], dtype=np.int64)
        parts.statistics.items = len(entries)
        parts.statistics.expressions = int(self._expression_counts.sum())
        self._finish(parts, names)
        return entries

    def _finish(self, parts: CocoParts, names: Mapping[int, PartName]) -> None:
        """Note and print what was loaded."""
        read = {
            'categories': [{'id': key, 'name': parts.categories[key].name, **name._asdict()}
                           for key, name in names.items()],
            'category_names': [category.name for category in parts.categories.values()],
            'super_categories': list(dict.fromkeys(name.super_category for name in names.values())),
        }
        self._metainfo = {**read, **self._metainfo}
        self._statistics = parts.statistics
        self._statistics.notes += [
            f'wording      instances={self.instances!r}, group_by={self.group_by!r}, templates={list(self.templates)}',
            *self.describe(parts, names)
        ]
        if self._indices is not None:
            shown = self._indices if isinstance(self._indices, int) else f'{len(self._indices)} chosen'
            self._statistics.notes.append(f'indices      {shown} of these items are used')
        print_log(f'{type(self).__name__} {self.ann_file}\n{self._statistics.summary()}', logger='current')

    def _refs_of(self, photo: Photo, names: Mapping[int, PartName], texts: dict) -> list[dict]:
        """Return the photo's refs in the order in which the json first mentions them."""
        groups: dict[str, list[Part]] = {}
        for part in photo.parts:
            ref_id = f'{photo.img_id}:{part.category_id}'
            if self.instances == 'separate':
                ref_id = f'{ref_id}:{part.ann_id}'
            groups.setdefault(ref_id, []).append(part)
        refs = []
        for ref_id, members in groups.items():
            name = names[members[0].category_id]
            class_name = self.class_name(photo, name)
            key = (name, class_name)
            if key not in texts:
                texts[key] = [render(template, name, class_name) for template in self.templates]
            refs.append({
                'ref_id': ref_id,
                'category_id': members[0].category_id,
                'part': name.part,
                'super_category': name.super_category,
                'class_name': class_name,
                'expressions': texts[key],
                'ann_ids': [part.ann_id for part in members],
                'rles': [part.rle for part in members]
            })
        return refs

    # Counting without reading the entries again.

    def full_init(self) -> None:
        """Load and serialise, once."""
        if self._fully_initialized:
            return
        super().full_init()
        if self._indices is not None:
            self._expression_counts = self._subset_counts(self._indices)

    @force_full_init
    def num_expressions(self) -> np.ndarray:
        """Return (len(self),) int64: expressions per item, as many as leave the pipeline.

        A transform with ``max_expressions`` (``DrawExpressions``) caps them.
        """
        caps = [getattr(transform, 'max_expressions', None) for transform in self.pipeline.transforms]
        return np.minimum(self._expression_counts, min([cap for cap in caps if cap], default=np.iinfo(np.int64).max))

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the category ids of an item, for mmengine's ``ClassBalancedDataset``."""
        return [ref['category_id'] for ref in self.get_data_info(idx)['refs']]

    def _subset_counts(self, indices: int | Sequence[int]) -> np.ndarray:
        counts = self._expression_counts
        if isinstance(indices, int):
            return counts[:indices] if indices >= 0 else counts[indices:]
        return counts[list(indices)]

    @force_full_init
    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Keep the first n items (int), the last n (negative) or these (sequence)."""
        super().get_subset_(indices)
        self._expression_counts = self._subset_counts(indices)

    @force_full_init
    def get_subset(self, indices: int | Sequence[int]) -> 'PartReferDataset':
        """Return a copy with the first n items (int), the last n (negative) or these (sequence)."""
        subset = super().get_subset(indices)
        subset._expression_counts = self._subset_counts(indices)
        return subset
