"""Read the tensors of a TorchScript archive; its code is never loaded.

OpenAI publishes CLIP so. The archive's pickle is a tree of modules. All that it names becomes a ``Record``, which
stores what it is given; the tensors are made from the records afterwards.
"""
import io
import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from mmpartref.errors import WeightsError
from mmpartref.models.weights.allowed_types import Record

# Modules inside one another; CLIP's ViT-L/14 has 6.
MAX_DEPTH = 100
# Modules of a tree, shared ones at each of their places.
MAX_MODULES = 100_000
# Names of the tensors' files, as torch writes them. Digits only: torch's reader does not tell capital from small
# letters, so that one file could be read under many names.
# The extra field of a zip archive that gives a file a second name, which some readers use and torch's does not.
UNICODE_PATH = 0x7075
DATA_NAME = re.compile(r'[^/]+/data/\d+')
# Bytes that an archive may hold beyond its own size: torch compresses no tensors.
MAX_COMPRESSED = 64 << 20

STORAGE_DTYPES = {
    'DoubleStorage': torch.float64, 'FloatStorage': torch.float32, 'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16, 'LongStorage': torch.int64, 'IntStorage': torch.int32,
    'ShortStorage': torch.int16, 'CharStorage': torch.int8, 'ByteStorage': torch.uint8, 'BoolStorage': torch.bool
}


class Module(Record, path='__torch__'):
    """A module: its attributes as state."""
    __slots__ = ()


class Tensor(Record, path='torch._utils._rebuild_tensor_v2'):
    """A tensor: storage, offset, size, stride."""
    __slots__ = ()


class Other(Record, path='torch.jit._pickle'):
    """A list of numbers, or the dictionary of a tensor's hooks; not used."""
    __slots__ = ()


class Storage(Record, path='storage'):
    """Elements of a tensor: key, dtype and number as arguments."""
    __slots__ = ()


class ArchiveUnpickler(pickle._Unpickler):
    """Unpickle a TorchScript module tree into records.

    The one in Python: its memo is a dictionary, where that in C makes room up to the highest index of a pickle.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return the record class for a name, or raise for all others."""
        if module.split('.')[0] == '__torch__':
            return Module
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return Tensor
        if (module, name) == ('collections', 'OrderedDict') or (module == 'torch.jit._pickle'
                                                                and name.startswith('build_')):
            return Other
        if module == 'torch' and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        raise WeightsError(f'a TorchScript archive asks for {module}.{name}, which holds no tensor')

    def persistent_load(self, pid: Any) -> Storage:
        """Return the record of a storage."""
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != 'storage':
            raise WeightsError('a TorchScript archive holds an unknown kind of object')
        _, dtype, key, _, count = pid
        if not isinstance(dtype, torch.dtype) or not isinstance(key, str) or type(count) is not int or count < 0:
            raise WeightsError('a TorchScript archive has a storage without type, name or size')
        return Storage(key, dtype, count)


class TensorReader:
    """Make the tensors of a module tree.

    Args:
        archive: the open archive.
        root: its folder.
    """

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self.archive = archive
        self.root = root
        self.storages: dict[str, torch.Tensor] = {}
        self.above: list[Module] = []
        self.visits = 0

    def walk(self, module: Module, prefix: str = '') -> dict[str, torch.Tensor]:
        """Return the tensors of a module and those inside it, by their dotted names.

        Raises:
            WeightsError: a module contains itself, or the tree is too deep.
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

    def tensor(self, record: Tensor) -> torch.Tensor:
        """Return a tensor from the arguments of ``_rebuild_tensor_v2``."""
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
    """Tell whether a file is a zip archive with TorchScript's ``constants.pkl``."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError):
        return False  # torch says what is wrong with it
    with archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


def starts_as_archive(path: Path) -> bool:
    """Tell whether torch takes a file for a zip archive: by its first bytes."""
    with path.open('rb') as file:
        return file.read(4) == b'PK\x03\x04'


def directory_is_at_end(file: BinaryIO, end: list[Any], size: int) -> bool:
    """Tell whether a zip archive's directory lies right before its end record, and that at the end of the file.

    Args:
        file: the open file.
        end: the end record as zipfile reads it: ..., size and offset of the directory at 5 and 6, own place at 9.
        size: of the file.
    """
    place = end[9]
    if place + 22 != size:
        return False
    file.seek(max(place - 20, 0))
    locator = file.read(20)
    if locator.startswith(b'PK\x06\x07'):
        # Of 64-bit archives: the locator names the place of a second end record, which lies before it.
        place -= 20 + 56
        if struct.unpack('<Q', locator[8:16])[0] != place:
            return False
    return end[5] + end[6] == place


def extra_fields(extra: bytes) -> set[int]:
    """Return the identifiers of the extra fields of a file in a zip archive."""
    found = set()
    while len(extra) >= 4:
        kind, size = struct.unpack('<HH', extra[:4])
        found.add(kind)
        extra = extra[4 + size:]
    return found


def check_archive_size(path: Path, *, numbered_only: bool = True) -> None:
    """Compare what a zip archive says it holds with its size, before anything is read into memory.

    Args:
        path: the archive.
        numbered_only: reject files of tensors whose names are not numbers.

    Raises:
        WeightsError: it holds more than torch, which compresses no tensors, puts into a file of that size, or its
            directory is not where torch writes it, so that two readers could find two directories.
    """
    size = path.stat().st_size
    with path.open('rb') as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if end is None or not directory_is_at_end(file, end, size):
            raise WeightsError('it is damaged or cut short: its directory is not at its end, where torch writes it')
    with zipfile.ZipFile(path) as archive:
        inside = sum(each.file_size for each in archive.infolist())
        if any(each.filename != each.orig_filename or UNICODE_PATH in extra_fields(each.extra)
               for each in archive.infolist()):
            raise WeightsError('one of its files has two names')
        odd = [name for name in archive.namelist() if '/data/' in name.lower() and not DATA_NAME.fullmatch(name)]
        if odd and numbered_only:
            raise WeightsError(f'it holds {odd[0]!r:.80}; torch numbers the files of tensors')
    if inside > size + MAX_COMPRESSED:
        raise WeightsError(f'its {size:,} bytes unpack to {inside:,}; a checkpoint is not compressed')


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of an archive by their dotted names, on the CPU.

    Raises:
        WeightsError: it asks for more than tensors, contains itself or is compressed.
        Exception: of many kinds, where it is damaged.
    """
    check_archive_size(path)
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith('/constants.pkl')).rsplit('/', 1)[0]
        module = ArchiveUnpickler(io.BytesIO(archive.read(f'{root}/data.pkl'))).load()
        return TensorReader(archive, root).walk(module) if isinstance(module, Module) else {}
