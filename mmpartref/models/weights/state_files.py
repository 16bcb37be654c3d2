"""Read weights files without executing code from them, and write checkpoints."""
import os
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_from_local

from mmpartref.errors import MissingWeightsError, WeightsError
from mmpartref.files.atomic_write import atomic_write
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed
from mmpartref.models.weights.archives import locate_url
from mmpartref.models.weights.checkpoint_content import RejectedContent, Restorer, restore
from mmpartref.models.weights.state_dicts import WRAPPERS, find_state_dict, rename_entries
from mmpartref.models.weights.torchscript import is_torchscript, read_torchscript
from mmpartref.models.weights.zip_archives import (
    MAX_COMPRESSED,
    check_archive_size,
    check_checksums,
    starts_as_archive,
)

# Characters of another library's error message that are repeated in ours.
MAX_SHOWN = 200


def read_tensors(path: str | Path, *, key: str | None = None,
                 wrappers: Sequence[str] = WRAPPERS) -> dict[str, torch.Tensor]:
    """Return the tensors of a weights file by name, on the CPU, in their stored precision.

    The parts ``module.``, ``_orig_mod.``, ``model.`` and ``clip.`` of names are removed; see ``rename_entries``.

    Args:
        path: a file of any format of ``read_content``.
        key, wrappers: of the weights in the checkpoint; see ``find_state_dict``.

    Raises:
        MissingWeightsError: the file does not exist.
        WeightsError: it contains no state dict, is damaged, or contains code.
    """
    return rename_entries(find_state_dict(read_content(path), path, key, wrappers), path)


@contextmanager
def errors_with_path(path: str | Path) -> Iterator[None]:
    """Put the path of the file in front of the message of a ``WeightsError``."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f'{path}: {error}') from None


def read_content(path: str | Path, map_location: Any = 'cpu') -> Any:
    """Return the content of a weights file of any format; no code of the file is executed.

    Formats: pickled state dicts and checkpoints (``torch.save``), TorchScript archives such as OpenAI's CLIP, and
    ``.safetensors``. Checksums are verified where the format has them: in the archives of ``torch.save`` and
    TorchScript.

    Args:
        path: the file.
        map_location: as in ``torch.load``, for pickles.

    Raises:
        MissingWeightsError: the path does not exist or is not a regular file.
        WeightsError: the file is damaged, has an unknown format, or contains code.
    """
    path = Path(path)
    if path.is_file() and path.suffix == '.safetensors':
        return _read_safetensors(path)
    if path.is_file() and is_torchscript(path):
        return _read_archive(path)
    return read_checkpoint(path, map_location)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise WeightsError(f'{path} needs the package safetensors: pip install safetensors') from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f'{path} is damaged or not a safetensors file ({describe_error(error)})') from error


def read_checkpoint(path: str | Path, map_location: Any = 'cpu', *, mmap: bool = False) -> Any:
    """Return the content of a pickled checkpoint: plain values, tensors, and mmengine's log history and schedules.

    No code of the file is executed; see ``allowed_types``.

    Args:
        path: a file of ``torch.save``, in its current or older formats.
        map_location: as in ``torch.load``.
        mmap: map the tensors instead of reading them, where the format allows it; their checksums are not verified.

    Raises:
        MissingWeightsError: the path does not exist or is not a regular file.
        WeightsError: the file is damaged, not a checkpoint, or contains other objects.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingWeightsError(f'there is no weights file {path}')
    try:
        if starts_as_archive(path):
            check_archive_size(path)
            if not mmap:
                check_checksums(path)
                check_storages(path)
        with mmengine_checkpoints_allowed():
            content = torch.load(path, map_location, weights_only=True, mmap=mmap and starts_as_archive(path))
        return restore(content)
    except (WeightsError, RejectedContent) as error:
        raise WeightsError(f'{path} was not loaded: {error}') from error
    except pickle.UnpicklingError as error:
        # Without torch's message, which advises loading with weights_only=False.
        named = re.search(r'GLOBAL ([\w.]+)', str(error))
        what = f'it names {named[1]}' if named else describe_error(error)
        raise WeightsError(f'{path} was not loaded: it is not a checkpoint, or needs more than tensors ({what}); '
                           'no code in it was run') from error
    except Exception as error:
        # torch raises KeyError, AssertionError, RuntimeError, ... for bytes that are not a pickle.
        raise WeightsError(f'{path} is not a checkpoint, damaged or truncated ({describe_error(error)})') from error


def load_checkpoint(source: str, map_location: Any = 'cpu') -> Any:
    """Return the state dict or checkpoint of a path, a URL, or another address of mmengine's ``CheckpointLoader``.

    Args:
        source: ``epoch_1.pth``, a URL (see ``locate_url``), ``torchvision://resnet50``, ...
        map_location: as in ``torch.load``.

    Raises:
        WeightsError: as in ``read_content``, or the content is not a dictionary.
    """
    if source.startswith(('http://', 'https://')):
        content = read_content(locate_url(source), map_location)
    elif CheckpointLoader._get_checkpoint_loader(source) is load_from_local:
        content = read_content(os.path.expanduser(source), map_location)
    else:
        with mmengine_checkpoints_allowed():
            content = restore(CheckpointLoader.load_checkpoint(source, map_location))
    if not isinstance(content, Mapping):
        raise WeightsError(f'{source} holds a {type(content).__name__} and not a state dict; give a checkpoint')
    return content


def check_storages(path: Path) -> None:
    """Compare the size of an archive's tensors with the size of the file, before they are read into memory.

    Raises:
        WeightsError: the tensors are larger, because torch's reader finds one file of the archive under many names.
    """
    with mmengine_checkpoints_allowed():
        content = torch.load(path, 'cpu', weights_only=True, mmap=True)
    restorer = Restorer()
    restorer(content)
    inside, size = sum(restorer.storages.values()), path.stat().st_size
    if inside > size + MAX_COMPRESSED:
        raise WeightsError(f'the tensors in its {size:,} bytes have {inside:,}')


def describe_error(error: Exception) -> str:
    """Return an error's type and the first line of its message, without unprintable bytes of a damaged file."""
    first = (str(error).splitlines() or [''])[0]
    return f'{type(error).__name__}: {"".join(filter(str.isprintable, first))[:MAX_SHOWN]}'


def _read_archive(path: Path) -> dict[str, torch.Tensor]:
    try:
        if not (state := read_torchscript(path)):
            raise WeightsError('it holds no state dict: no module in it has tensors')
        return state
    except WeightsError as error:
        raise WeightsError(f'{path} was not loaded: {error}') from error
    except Exception as error:  # as in read_checkpoint
        raise WeightsError(f'{path} is damaged or not a TorchScript archive ({describe_error(error)})') from error


def write_checkpoint(state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Write ``{'state_dict': state}`` atomically."""
    with atomic_write(path) as unfinished, unfinished.open('wb') as file:
        torch.save({'state_dict': dict(state)}, file)
