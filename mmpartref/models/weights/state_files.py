"""Read tensors from files without running what the files say."""
import io
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmpartref.models.weights.key_report import MissingWeightsError, WeightsError

# Characters of a library's own complaint that a sentence repeats.
MOST_SHOWN = 200
# Where training codes keep the weights inside a checkpoint.
WRAPPERS = ('state_dict', 'model', 'module')


def expand_path(path: str | Path) -> Path:
    """Return a path with ``~`` and ``$VARIABLES`` expanded."""
    return Path(os.path.expandvars(str(path))).expanduser()


def read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a weights file by name, on the CPU, in the precision they are stored in.

    Understood are pickled state dicts and checkpoints (``torch.save``; loaded with ``weights_only``), TorchScript
    archives as OpenAI publishes CLIP (read for their tensors, their code is never loaded) and ``.safetensors``. A
    leading ``module.`` of every name, left by data-parallel training, is dropped.

    Raises:
        MissingWeightsError: there is no such file.
        WeightsError: it holds no state dict, is damaged, or asks to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingWeightsError(f'there is no weights file {path}')
    if path.suffix == '.safetensors':
        content: Any = _read_safetensors(path)
    elif _is_torchscript(path):
        content = _read_torchscript(path)
    else:
        content = _read_pickle(path)
    state = _find_state_dict(content)
    if not state:
        raise WeightsError(f'{path} holds no state dict: expected names mapped to tensors, at the top or under one of '
                           f'{WRAPPERS}')
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


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own advice, to load it without the check, is the last thing to do.
        asked = re.search(r'GLOBAL ([\w.]+)', str(error))
        what = f'it asks for {asked[1]}' if asked else 'it is no pickle of tensors'
        raise WeightsError(f'{path} was not loaded: it is no checkpoint, or asks for more than tensors ({what}); '
                           'nothing in it was run') from error
    except Exception as error:
        # Bytes that are no pickle trip torch's reader in many ways (KeyError, AssertionError, RuntimeError, ...).
        raise WeightsError(f'{path} is no checkpoint, damaged or cut short ({in_words(error)})') from error


def in_words(error: Exception) -> str:
    """Return an error's type and first line; bytes of a damaged file that got into it are left out."""
    first = (str(error).splitlines() or [''])[0]
    return f'{type(error).__name__}: {"".join(filter(str.isprintable, first))[:MOST_SHOWN]}'


def _find_state_dict(content: Any) -> dict[str, torch.Tensor]:
    if not isinstance(content, Mapping):
        return {}
    tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if tensors:
        return tensors
    for wrapper in WRAPPERS:
        found = _find_state_dict(content.get(wrapper))
        if found:
            return found
    return {}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError):
        return False  # torch says what is wrong with it
    with archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


class _Module:
    """Stands for any TorchScript module: a bag of attributes."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class _TensorUnpickler(pickle.Unpickler):
    """Unpickle a TorchScript module tree into bags of attributes; nothing but tensors and plain values is built."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f'{root}/data.pkl')))
        self._archive = archive
        self._root = root
        self._storages: dict[str, torch.UntypedStorage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith('__torch__'):
            return _Module
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return torch._utils._rebuild_tensor_v2
        if (module, name) == ('collections', 'OrderedDict'):
            return OrderedDict
        if module == 'torch.jit._pickle' and name.startswith('build_'):
            return list
        raise WeightsError(f'a TorchScript archive asks for {module}.{name}, which holds no tensor')

    def persistent_load(self, pid: Any) -> Any:
        kind, storage_type, key, _, count = pid
        if kind != 'storage':
            raise WeightsError(f'a TorchScript archive holds an unknown kind of object: {kind!r}')
        dtype = storage_type.dtype
        if key not in self._storages:
            data = bytearray(self._archive.read(f'{self._root}/data/{key}'))
            size = count * torch.empty(0, dtype=dtype).element_size()
            if len(data) != size:
                raise WeightsError(f'a TorchScript archive is cut short: storage {key} has {len(data)} of {size} bytes')
            self._storages[key] = torch.frombuffer(data, dtype=torch.uint8).untyped_storage()
        return torch.storage.TypedStorage(wrap_storage=self._storages[key], dtype=dtype, _internal=True)


class _StorageTypes(_TensorUnpickler):
    """Adds the typed storages by name (``torch.HalfStorage``), which stand for element types only."""

    def find_class(self, module: str, name: str) -> Any:
        if module == 'torch' and name.endswith('Storage'):
            return getattr(torch, name)
        return super().find_class(module, name)


def _read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            root = next(name for name in archive.namelist() if name.endswith('/constants.pkl')).rsplit('/', 1)[0]
            module = _StorageTypes(archive, root).load()
    except WeightsError as error:
        raise WeightsError(f'{path} was not loaded: {error}') from error
    except Exception as error:  # as in _read_pickle
        raise WeightsError(f'{path} is damaged or no TorchScript archive ({in_words(error)})') from error
    return dict(_walk(module, ''))


def _walk(module: _Module, prefix: str) -> list[tuple[str, torch.Tensor]]:
    found: list[tuple[str, torch.Tensor]] = []
    for name, value in vars(module).items():
        if isinstance(value, torch.Tensor):
            found.append((prefix + name, value))
        elif isinstance(value, _Module):
            found += _walk(value, f'{prefix}{name}.')
    return found


def write_checkpoint(state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Write ``{'state_dict': state}``; an older file is replaced only once the new one is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'{path.name}.unfinished')
    torch.save({'state_dict': dict(state)}, unfinished)
    unfinished.replace(path)
