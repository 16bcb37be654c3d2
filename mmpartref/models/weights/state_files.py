"""Read tensors from files without running what the files say."""
import os
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmpartref.errors import MissingWeightsError, WeightsError
from mmpartref.files.atomic_write import atomic_write
from mmpartref.models.weights.allowed_types import mmengine_checkpoints_allowed
from mmpartref.models.weights.checkpoint_content import Restorer, restore
from mmpartref.models.weights.torchscript import is_torchscript, read_torchscript
from mmpartref.models.weights.zip_archives import MAX_COMPRESSED, check_archive_size, starts_as_archive

# Characters of a library's own complaint that a sentence repeats.
MOST_SHOWN = 200
# Where training codes keep the weights inside a checkpoint.
WRAPPERS = ('state_dict', 'model', 'module')


def expand_path(path: str | Path) -> Path:
    """Return a path with ``~`` and ``$VARIABLES`` expanded."""
    return Path(os.path.expandvars(str(path))).expanduser()


def read_tensors(path: str | Path, *, wrappers: Sequence[str] = WRAPPERS) -> dict[str, torch.Tensor]:
    """Return the tensors of a weights file by name, on the CPU, in the precision they are stored in.

    Understood are pickled state dicts and checkpoints (``torch.save``; loaded with ``weights_only``), TorchScript
    archives as OpenAI publishes CLIP (read for their tensors, their code is never loaded) and ``.safetensors``. A
    leading ``module.`` of every name, left by data-parallel training, is dropped.

    Args:
        path: the file.
        wrappers: keys under which a checkpoint may hold the state dict; the first that does is taken.

    Raises:
        MissingWeightsError: there is no such file.
        WeightsError: it holds no state dict, is damaged, or asks to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingWeightsError(f'there is no weights file {path}')
    if path.suffix == '.safetensors':
        content: Any = _read_safetensors(path)
    elif is_torchscript(path):
        content = _read_archive(path)
    else:
        content = read_checkpoint(path)
    state = _find_state_dict(content, wrappers)
    if not state:
        raise WeightsError(f'{path} holds no state dict: expected names mapped to tensors, at the top or under one of '
                           f'{tuple(wrappers)}')
    if all(name.startswith('module.') for name in state):
        state = {name.removeprefix('module.'): value for name, value in state.items()}
    return state


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise WeightsError(f'{path} needs the package safetensors: pip install safetensors') from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f'{path} is damaged or no safetensors file ({in_words(error)})') from error


def read_checkpoint(path: str | Path, map_location: Any = 'cpu', *, mmap: bool = False) -> Any:
    """Return what a pickled checkpoint holds: plain values, tensors, and mmengine's log history and schedules.

    Nothing that the file asks for is run: see ``allowed_types``.

    Args:
        path: the file, as ``torch.save`` writes it, or its older formats.
        map_location: as in ``torch.load``.
        mmap: leave the tensors on the disk until they are used, where the format allows it.

    Raises:
        MissingWeightsError: it does not exist or is not a plain file.
        WeightsError: it is damaged, not a checkpoint, or asks for more than that.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingWeightsError(f'there is no weights file {path}')
    try:
        if starts_as_archive(path):
            check_archive_size(path)
            if not mmap:
                check_storages(path)
        with mmengine_checkpoints_allowed():
            content = torch.load(path, map_location, weights_only=True, mmap=mmap and starts_as_archive(path))
        return restore(content)
    except WeightsError as error:
        raise WeightsError(f'{path} was not loaded: {error}') from error
    except pickle.UnpicklingError as error:
        # torch's own advice, to load it without the check, is the last thing to do.
        asked = re.search(r'GLOBAL ([\w.]+)', str(error))
        what = f'it asks for {asked[1]}' if asked else in_words(error)
        raise WeightsError(f'{path} was not loaded: it is not a checkpoint, or asks for more than tensors ({what}); '
                           'nothing in it was run') from error
    except Exception as error:
        # Bytes that are no pickle trip torch's reader in many ways (KeyError, AssertionError, RuntimeError, ...).
        raise WeightsError(f'{path} is no checkpoint, damaged or cut short ({in_words(error)})') from error


def check_storages(path: Path) -> None:
    """Compare the tensors of an archive with its size, while they are still in the file.

    Raises:
        WeightsError: one file in the archive is read under many names, which torch's reader takes for the same.
    """
    with mmengine_checkpoints_allowed():
        content = torch.load(path, 'cpu', weights_only=True, mmap=True)
    restorer = Restorer()
    restorer(content)
    inside, size = sum(restorer.storages.values()), path.stat().st_size
    if inside > size + MAX_COMPRESSED:
        raise WeightsError(f'the tensors in its {size:,} bytes have {inside:,}')


def in_words(error: Exception) -> str:
    """Return an error's type and first line; bytes of a damaged file that got into it are left out."""
    first = (str(error).splitlines() or [''])[0]
    return f'{type(error).__name__}: {"".join(filter(str.isprintable, first))[:MOST_SHOWN]}'


def _find_state_dict(content: Any, wrappers: Sequence[str]) -> dict[str, torch.Tensor]:
    if not isinstance(content, Mapping):
        return {}
    tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if tensors:
        return tensors
    for wrapper in wrappers:
        found = _find_state_dict(content.get(wrapper), wrappers)
        if found:
            return found
    return {}


def _read_archive(path: Path) -> dict[str, torch.Tensor]:
    try:
        return read_torchscript(path)
    except WeightsError as error:
        raise WeightsError(f'{path} was not loaded: {error}') from error
    except Exception as error:  # as in read_checkpoint
        raise WeightsError(f'{path} is damaged or not a TorchScript archive ({in_words(error)})') from error


def write_checkpoint(state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Write ``{'state_dict': state}``; an older file is replaced only once the new one is complete."""
    with atomic_write(path) as unfinished, unfinished.open('wb') as file:
        torch.save({'state_dict': dict(state)}, file)
