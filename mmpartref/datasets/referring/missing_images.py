"""Which photos of a json are nowhere, told without reading any."""
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.fileio import get_file_backend
from mmengine.fileio.backends import LocalBackend

from mmpartref.errors import MissingPhotoError
from mmpartref.text import shown


def are_missing(paths: Sequence[str]) -> np.ndarray:
    """Return (len(paths),) bool; all of one storage. Where it is not this machine's, nothing is said to be missing."""
    if not paths or not isinstance(get_file_backend(paths[0]), LocalBackend):
        return np.zeros(len(paths), dtype=bool)
    return np.array([not os.path.exists(path) for path in paths])


def part_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that know which of their photos are missing, through mmengine's wrappers."""
    for inner in (*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)):
        if inner is not None:
            yield from part_datasets(inner)
    if hasattr(dataset, 'missing_photos'):
        yield dataset


def check_presence(dataset: Any) -> list[str]:
    """Look for missing photos of a data set before the first one is read.

    Returns:
        A sentence for each json with ``on_bad_sample='skip'`` that has some.

    Raises:
        MissingPhotoError: a json has some, and ``on_bad_sample`` is ``'raise'``.
    """
    said = []
    for each in part_datasets(dataset):
        missing = each.missing_photos()
        if missing:
            count = f'{len(missing):,} of its {len(each):,} items have no photo' if len(missing) > 1 else (
                f'1 of its {len(each):,} items has no photo')
            first = missing[0]
            sentence = (f"{each.ann_file}: {count}, the first is {first['img_path']} (image {shown(first['img_id'])}); "
                        'set data_root and data_prefix to where the photos lie')
            if each.on_bad_sample != 'skip':
                raise MissingPhotoError(f"{sentence}, or on_bad_sample='skip' to leave them out")
            said.append(sentence)
    return said
