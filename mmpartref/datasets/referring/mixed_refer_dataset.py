"""Concatenation of referring datasets."""
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import ConcatDataset, force_full_init

from mmpartref.argument_checks import check_sequence, check_switch
from mmpartref.datasets.referring.dataset_entries import check_position
from mmpartref.datasets.referring.part_refer_dataset import PartReferDataset
from mmpartref.errors import InputError, InputTypeError
from mmpartref.registry import DATASETS
from mmpartref.text import shown


@DATASETS.register_module()
class MixedReferDataset(ConcatDataset):
    """Concatenate several ``PartReferDataset`` whose categories may differ.

    mmengine's ``ConcatDataset`` rejects datasets with different ``metainfo``. Here they are united::

        categories   every meaning (super-category, part) once, in the order of the datasets. Ids are those of the json
                     where all datasets have the same categories, otherwise new ones from 0; refs have the id of their
                     json, get_cat_ids returns the united one
        category_names, super_categories   likewise
        protocol     the common one
        mixed        list of each dataset's metainfo, with its ann_file

    Each item comes from its dataset's pipeline; refs have their ``source``. The sampler decides how many items of each
    dataset an epoch has: ``MixtureSampler``, or each item once with mmengine's ``DefaultSampler``.

    Args:
        datasets: configs, or built datasets.
        lazy_init: True reads nothing until ``full_init``.

    Raises:
        InputError: there is no dataset, the datasets have different protocols, or two datasets to evaluate have an
            image of the same id.
        InputTypeError: one is not a ``PartReferDataset``, or an argument is of another type.
    """

    def __init__(self, datasets: Sequence[Mapping | PartReferDataset], lazy_init: bool = False) -> None:
        lazy_init = check_switch(lazy_init, 'lazy_init')
        self.datasets: list[PartReferDataset] = []
        for number, each in enumerate(check_sequence(datasets, 'datasets', 'datasets')):
            if isinstance(each, Mapping):
                try:
                    each = DATASETS.build({**each, 'lazy_init': True})
                except KeyError as error:
                    raise InputError(f'MixedReferDataset: datasets[{number}]={shown(each)} cannot be built: '
                                     f'{error.args[0]}') from error
            if not isinstance(each, PartReferDataset):
                raise InputTypeError(f'MixedReferDataset: datasets[{number}] is a {type(each).__name__}, which has no '
                                     'expressions; use PartReferDataset or one derived from it')
            self.datasets.append(each)
        if not self.datasets:
            raise InputError('MixedReferDataset got no dataset; name at least one in datasets')
        self._metainfo: dict[str, Any] = {}
        self._united: dict[tuple[str, str], int] = {}
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """United metainfo; empty before ``full_init``."""
        return super().metainfo

    def full_init(self) -> None:
        """Load the datasets and unite their metainfo, once."""
        if self._fully_initialized:
            return
        super().full_init()
        found = [each.metainfo for each in self.datasets]
        self._metainfo = {
            **self._unite_categories([meta['categories'] for meta in found]),
            **self._common_protocol(found),
            'mixed': [{'ann_file': each.ann_file, **meta} for each, meta in zip(self.datasets, found, strict=True)],
        }
        self._united = {(each['super_category'], each['part']): each['id'] for each in self._metainfo['categories']}
        self._check_image_ids()

    @staticmethod
    def _unite_categories(found: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
        united: dict[tuple[str, str], dict[str, Any]] = {}
        for each in (category for categories in found for category in categories):
            united.setdefault((each['super_category'], each['part']), each)
        categories = list(united.values())
        if any(each != found[0] for each in found):
            categories = [{**each, 'id': number} for number, each in enumerate(categories)]
        return {
            'categories': categories,
            'category_names': [each['name'] for each in categories],
            'super_categories': list(dict.fromkeys(each['super_category'] for each in categories)),
        }

    def _common_protocol(self, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        protocols = [meta.get('protocol') for meta in found]
        for each, protocol in zip(self.datasets, protocols, strict=True):
            if protocol != protocols[0]:
                raise InputError(f'MixedReferDataset: {self.datasets[0].ann_file} has protocol {protocols[0]}, '
                                 f'{each.ann_file} {protocol}; a part that one hides could be in the other, so use the '
                                 'same protocol for all')
        return {} if protocols[0] is None else {'protocol': protocols[0]}

    def _check_image_ids(self) -> None:
        """Raise an ``InputError`` for image ids in two datasets to evaluate; training does not need distinct ids."""
        tested = [each for each in self.datasets if each.test_mode]
        if len(tested) < 2:
            return
        owners: Counter = Counter()
        for each in tested:
            owners.update({str(each.get_data_info(index)['img_id']) for index in range(len(each))})
        twice = [img_id for img_id, count in owners.items() if count > 1]
        if twice:
            raise InputError(f'MixedReferDataset: {len(twice)} image ids, e.g. {twice[0]}, occur in two datasets to '
                             "evaluate, and a dump could not distinguish them; give each dataset an id_prefix, e.g. "
                             "'refcoco/'")

    def _get_ori_dataset_idx(self, idx: int) -> tuple[int, int]:
        """Return the number of a dataset and that of its item; raises as ``PartReferDataset.get_data_info``."""
        return super()._get_ori_dataset_idx(check_position(idx, len(self), 'MixedReferDataset'))

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the united ids of an item's categories, for mmengine's ``ClassBalancedDataset``."""
        refs = self.get_data_info(idx)['refs']
        return [self._united[ref['super_category'], ref['part']] for ref in refs
                if 'absent' not in ref and ref['category_id'] is not None]
