"""Read the tensors of a TorchScript archive, the format of OpenAI's CLIP, without loading its code.

The archive's pickle is a tree of modules. Its objects are unpickled as ``Record``, and the tensors are built from the
records.
"""
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from mmpartref.errors import WeightsError
from mmpartref.models.weights.allowed_types import Record, record
from mmpartref.models.weights.zip_archives import ARCHIVE_ERRORS, check_archive_size

# Nesting depth of modules; CLIP's ViT-L/14 has 6.
MAX_DEPTH = 100
# Modules of a tree, shared modules counted at each occurrence.
MAX_MODULES = 100_000

STORAGE_DTYPES = {
    'DoubleStorage': torch.float64, 'FloatStorage': torch.float32, 'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16, 'LongStorage': torch.int64, 'IntStorage': torch.int32,
    'ShortStorage': torch.int16, 'CharStorage': torch.int8, 'ByteStorage': torch.uint8, 'BoolStorage': torch.bool
}


Module = record('__torch__')  # with its attributes as state
Tensor = record('torch._utils._rebuild_tensor_v2')  # of storage, offset, size and stride
Other = record('torch.jit._pickle')  # list of numbers or dictionary of hooks, which are not used
Storage = record('storage')  # of key, dtype and number of elements


class ArchiveUnpickler(pickle._Unpickler):
    """Unpickle a TorchScript module tree into records.

    Based on the Python implementation, whose memo is a dictionary; that in C allocates up to the highest index.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return the record class of a name; raise a WeightsError for names that no tensor needs."""
        if module.split('.')[0] == '__torch__':
            return Module
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return Tensor
        if (module, name) == ('collections', 'OrderedDict') or (module == 'torch.jit._pickle'
                                                                and name.startswith('build_')):
            return Other
        if module == 'torch' and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        raise WeightsError(f'a TorchScript archive names {module}.{name}, which holds no tensor')

    def persistent_load(self, pid: Any) -> Record:
        """Return the record of a ``pid`` ('storage', dtype, key, device, number of elements); else WeightsError."""
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != 'storage':
            raise WeightsError('a TorchScript archive holds an unknown kind of object')
        _, dtype, key, _, count = pid
        if not isinstance(dtype, torch.dtype) or not isinstance(key, str) or type(count) is not int or count < 0:
            raise WeightsError('a TorchScript archive has a storage without type, name or size')
        return Storage(key, dtype, count)


class TensorReader:
    """Build the tensors of a module tree.

    Args:
        archive: the open archive.
        root: top folder inside the archive.
    """

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self.archive = archive
        self.root = root
        self.storages: dict[str, torch.Tensor] = {}
        self.above: list[Record] = []
        self.visits = 0

    def walk(self, module: Record, prefix: str = '') -> dict[str, torch.Tensor]:
        """Return the tensors of a module and its submodules by dotted name.

        Raises:
            WeightsError: a module contains itself, or the tree is too deep or too large.
        """
        if any(module is each for each in self.above):
            raise WeightsError(f"its module '{prefix.rstrip('.')[:80]}' contains itself")
        if len(self.above) > MAX_DEPTH:
            raise WeightsError(f'its modules are nested more than {MAX_DEPTH} levels deep')
        self.visits += 1
        if self.visits > MAX_MODULES:
            raise WeightsError(f'it has more than {MAX_MODULES:,} modules')
        self.above.append(module)
        found: dict[str, torch.Tensor] = {}
        for name, value in (module.state if isinstance(module.state, dict) else {}).items():
            if isinstance(value, Tensor):
                found[f'{prefix}{name}'] = self.tensor(value)
            elif isinstance(value, Module):
                found.update(self.walk(value, f'{prefix}{name}.'))
        self.above.pop()
        return found

    def tensor(self, record: Record) -> torch.Tensor:
        """Return the tensor of a record, with checks against its storage."""
        storage, offset, size, stride = record.args[:4]
        if not isinstance(storage, Storage):
            raise WeightsError('one of its tensors has no storage')
        key, dtype, count = storage.args
        if key not in self.storages:
            data = bytearray(self.archive.read(f'{self.root}/data/{key}'))
            expected = count * torch.empty(0, dtype=dtype).element_size()
            if len(data) != expected:
                raise WeightsError(f'it is cut short: storage {key} has {len(data)} of {expected} bytes')
            self.storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        elements = self.storages[key]
        if elements.dtype != dtype:
            raise WeightsError(f'storage {key} has two types, {elements.dtype} and {dtype}')
        made = torch.as_strided(elements, size, stride, offset)
        if made.numel() > elements.numel():
            raise WeightsError(f'a tensor is larger than its storage {key}')
        return made


def is_torchscript(path: Path) -> bool:
    """Return whether a file is a zip archive with TorchScript's ``constants.pkl``."""
    try:
        if not zipfile.is_zipfile(path):
            return False
        archive = zipfile.ZipFile(path)
    except ARCHIVE_ERRORS:
        return False  # torch.load raises an error for it
    with archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of an archive by dotted name, on the CPU.

    Raises:
        WeightsError: the archive contains other objects, contains itself or is compressed.
        Exception: of many types, if the archive is damaged.
    """
    check_archive_size(path)
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith('/constants.pkl')).rsplit('/', 1)[0]
        module = ArchiveUnpickler(io.BytesIO(archive.read(f'{root}/data.pkl'))).load()
        return TensorReader(archive, root).walk(module) if isinstance(module, Module) else {}
