"""Check that the images of a json exist, without reading them."""
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.fileio import get_file_backend
from mmengine.fileio.backends import LocalBackend

from mmpartref.errors import MissingImageError
from mmpartref.text import shown


def are_missing(paths: Sequence[str]) -> np.ndarray:
    """Return (len(paths),) bool for paths of one storage; all False where that is not the local disk."""
    if not paths or not isinstance(get_file_backend(paths[0]), LocalBackend):
        return np.zeros(len(paths), dtype=bool)
    return np.array([not os.path.exists(path) for path in paths])


def part_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the datasets with ``missing_images`` inside mmengine's dataset wrappers."""
    for inner in (*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)):
        if inner is not None:
            yield from part_datasets(inner)
    if hasattr(dataset, 'missing_images'):
        yield dataset


def check_images_exist(dataset: Any) -> list[str]:
    """Check that all images of a dataset exist.

    Returns:
        One sentence per json that lacks some and has ``on_bad_image='skip'``.

    Raises:
        MissingImageError: a json lacks some, and ``on_bad_image`` is ``'raise'``.
    """
    sentences = []
    for each in part_datasets(dataset):
        missing = each.missing_images()
        if missing:
            first = missing[0]
            count = f'{len(missing):,} of its {len(each):,} items {"have" if len(missing) > 1 else "has"} no image'
            sentence = (f"{each.ann_file}: {count}, the first is {first['img_path']} (image {shown(first['img_id'])}); "
                        'set data_root and data_prefix to the folder of the images')
            if each.on_bad_image != 'skip':
                raise MissingImageError(f"{sentence}, or on_bad_image='skip' to skip them")
            sentences.append(sentence)
    return sentences
