"""Weights alone, for others: without the optimiser, in half precision, named by their hash."""
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import torch

from mmpartref.engine.hooks.detector_categories_hook import META_KEY
from mmpartref.errors import InputError, WeightsError
from mmpartref.files.atomic_write import atomic_write
from mmpartref.models.weights.state_dicts import find_state_dict
from mmpartref.models.weights.state_files import read_content

# Hexadecimal digits of the SHA-256 in a file name, as in OpenMMLab's model zoos.
DIGITS = 8
# Entries of mmengine's ``meta`` that are written; others may hold paths and names of machines.
META = ('epoch', 'iter', 'seed', 'mmengine_version', 'dataset_meta', META_KEY)


def publish_weights(checkpoint: str | Path, folder: str | Path, name: str, *, half: bool = False,
                    key: str | None = None) -> Path:
    """Write the weights of a checkpoint to ``folder/name-<8 digits of their SHA-256>.pth`` and return the path.

    The file has ``'state_dict'`` and of ``'meta'`` the numbers of the run, the versions and the dataset's names.

    Args:
        checkpoint: see ``read_content``.
        folder: to write into.
        name: of the file, usually that of the config.
        half: floating-point tensors as float16; ``load_weights`` converts them back.
        key: of the weights in the checkpoint, e.g. ``'ema_state_dict'``; see ``find_state_dict``.

    Raises:
        InputError: ``name`` is not a file name.
        WeightsError: see ``read_content``; or a weight is too large for float16, or not finite.
    """
    if name in ('', '.', '..') or Path(name).name != name or not name.isprintable():
        raise InputError(f'name={name!r} must be the name of a file without its folder')
    content = read_content(checkpoint)
    state = {each: published(each, value, half) for each, value in find_state_dict(content, checkpoint, key).items()}
    meta = content.get('meta') if isinstance(content, Mapping) else None
    shared = {each: meta[each] for each in META if each in meta} if isinstance(meta, Mapping) else {}
    buffer = io.BytesIO()
    torch.save({'state_dict': state, 'meta': shared}, buffer)
    path = Path(folder) / f'{name}-{hashlib.sha256(buffer.getbuffer()).hexdigest()[:DIGITS]}.pth'
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(buffer.getbuffer())
    return path


def published(name: str, value: torch.Tensor, half: bool) -> torch.Tensor:
    """Return a copy of a tensor with storage of its own size, in half precision where wanted.

    Raises:
        WeightsError: it is not finite then.
    """
    value = value.detach().cpu().clone()
    if half and value.is_floating_point():
        value = value.half()
    if value.is_floating_point() and not value.isfinite().all():
        raise WeightsError(f'{name} has values that are not finite' + (' as float16; write it without --half' if half
                                                                       else ''))
    return value
