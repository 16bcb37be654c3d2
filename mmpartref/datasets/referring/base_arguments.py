"""Checks of the arguments that a dataset hands to mmengine's ``BaseDataset``."""
from collections.abc import Callable, Mapping
from typing import Any

from mmengine import Config
from mmengine.dataset import Compose

from mmpartref.argument_checks import check_integer, check_sequence, check_switch
from mmpartref.datasets.referring.dataset_entries import read_indices
from mmpartref.errors import InputError, InputTypeError
from mmpartref.text import shown


def check_base_values(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of mmengine's ``BaseDataset``, ``pipeline`` built and ``indices`` as it takes them.

    Raises:
        InputTypeError: one is of another type.
        InputError: one has a value that cannot be used.
    """
    checked = dict(arguments)
    for name in ('serialize_data', 'test_mode', 'lazy_init'):
        if name in checked:
            checked[name] = check_switch(checked[name], name)
    for name in ('metainfo', 'filter_cfg'):
        if not isinstance(checked.get(name), (Mapping, Config, type(None))):
            raise InputTypeError(f'{name}={shown(checked[name])} should be a dict')
    if 'max_refetch' in checked:
        checked['max_refetch'] = check_integer(checked['max_refetch'], 'max_refetch', 0)
    if checked.get('indices') is not None:
        checked['indices'] = read_indices(checked['indices'])
    checked['pipeline'] = build_pipeline(checked.get('pipeline'))
    return checked


def build_pipeline(pipeline: Any) -> list[Callable]:
    """Return the transforms of a pipeline.

    Raises:
        InputTypeError: it is not a list of transforms and dicts.
        InputError: a dict has no type, or one that is not registered.
    """
    transforms: list[Callable] = []
    for number, step in enumerate([] if pipeline is None else check_sequence(pipeline, 'pipeline', 'transforms')):
        if not isinstance(step, Mapping) and not callable(step):
            raise InputTypeError(f'pipeline[{number}]={shown(step)} should be a transform, or a dict of its type and '
                                 'arguments')
        try:
            transforms += Compose([step]).transforms
        except KeyError as error:
            raise InputError(f'pipeline[{number}]={shown(step)} cannot be built: {error.args[0]}') from error
    return transforms
