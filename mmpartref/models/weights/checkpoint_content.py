"""Conversion of checkpoints to plain values for saving, and checked conversion back after loading.

``pack`` converts a checkpoint to plain values and tensors, which torch's safe loader accepts. ``restore`` checks loaded
content and builds the objects from plain values (our checkpoints) or from ``Record`` (mmengine's checkpoints).
"""
import math
import pickle
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

from mmpartref.errors import InputTypeError
from mmpartref.models.weights.allowed_types import (
    Array,
    Dtype,
    GetAttribute,
    History,
    NoBytes,
    OneCycle,
    Reconstruct,
    Record,
    Scalar,
)

# Key of dictionaries that represent an object.
KIND = '__mmpartref__'
# Nesting depth of containers; a checkpoint of a run has about 8.
MAX_DEPTH = 100
# Total bytes of numpy arrays and expanded tensors, of which many can refer to the same bytes of a small file.
MAX_ARRAY_BYTES = 1 << 30
# Characters of a key in a message.
MAX_SHOWN = 60
PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, torch.dtype, torch.device, torch.Size,
         torch.layout, torch.memory_format)
STATISTICS = ('min', 'max', 'current', 'mean')
ANNEALING = ('_annealing_cos', '_annealing_linear')
METHODS = (*(getattr(HistoryBuffer, name) for name in STATISTICS),
           *(getattr(OneCycleParamScheduler, name) for name in ANNEALING))
DTYPE_CODE = re.compile(r'b1|[iu][1248]|f[248]')


class RejectedContent(pickle.UnpicklingError):
    """A checkpoint holds what no checkpoint may hold; of the type that torch's safe loader raises."""


def rejection(what: str) -> RejectedContent:
    """Return the error for content that is rejected."""
    return RejectedContent(what)


class Restorer:
    """Copy a loaded checkpoint into plain containers, and build the objects that records and dictionaries represent.

    Shared containers stay shared. Attributes of ordered dictionaries and tensors are dropped, except the ``_metadata``
    of a state dict.
    """

    def __init__(self) -> None:
        # id -> original (referenced to keep its id in use) and copy, None until it is complete.
        self.done: dict[int, tuple[Any, Any]] = {}
        self.array_bytes = 0
        # Address of a tensor's storage -> bytes.
        self.storages: dict[int, int] = {}

    def __call__(self, value: Any, where: str = 'the checkpoint', depth: int = 0) -> Any:
        """Return the copy of a value.

        Args:
            value: any loaded object.
            where: its position in the checkpoint, for messages.
            depth: number of containers around it.

        Raises:
            pickle.UnpicklingError: the value is not plain, contains itself or is nested too deeply.
        """
        kind = type(value)
        if kind in PLAIN or is_built(value):
            return value
        if id(value) in self.done:
            copy = self.done[id(value)][1]
            if copy is None:
                raise rejection(f'{where} contains itself')
            return copy
        if depth > MAX_DEPTH:
            raise rejection(f'{where} is nested more than {MAX_DEPTH} levels deep')
        self.done[id(value)] = value, None
        copy = self.build(value, kind, where, depth + 1)
        self.done[id(value)] = value, copy
        return copy

    def build(self, value: Any, kind: type, where: str, depth: int) -> Any:
        """Return the copy of a container or tensor, or the object of a record.

        Args:
            kind: type of the value.
            where, depth: as in ``__call__``.

        Raises:
            pickle.UnpicklingError: the value is of another kind.
        """
        if kind in (dict, OrderedDict, Counter):
            return self.mapping(value, kind, where, depth)
        if kind in (list, tuple, set, frozenset):
            return kind(self(each, f'{where}[{index}]', depth) for index, each in enumerate(value))
        if kind in (torch.Tensor, torch.nn.Parameter):
            return self.dense(value, where)
        if issubclass(kind, Record):
            return self.record(value, where, depth)
        raise rejection(f'{where} is a {kind.__name__}; a checkpoint may hold plain values and tensors')

    def mapping(self, value: Any, kind: Any, where: str, depth: int) -> Any:
        """Return a dictionary of the same type, or the object that it represents."""
        # Not value.items(), which a pickle can replace on an OrderedDict.
        pairs = [(self(key, f'a key of {where}', depth), self(each, f'{where}[{shown_key(key)}]', depth))
                 for key, each in kind.items(value)]
        if kind is dict and KIND in value:
            return unpack(dict(pairs), where)
        copy: Any = kind(dict(pairs)) if kind is Counter else kind(pairs)
        if kind is OrderedDict:
            copy._metadata = versions_of(vars(value).get('_metadata'))
        return copy

    def record(self, value: Record, where: str, depth: int) -> Any:
        """Return the object that a record represents; raises as ``build``, and so do unknown uses of a known name."""
        if isinstance(value, Dtype):
            return dtype_of(value, where)
        if isinstance(value, Reconstruct):
            if len(value.args) != 3 or value.args[0] is not Array:
                raise rejection(f'{where}: {value.path} makes arrays only')
            return self.array(value.state, where)
        if isinstance(value, Scalar):
            return self.array((1, (), value.args[0], False, value.args[1]) if len(value.args) == 2 else None, where)[()]
        if isinstance(value, History):
            state = {} if value.state is None else self(value.state, where, depth)
            return history_of(state, where)
        if isinstance(value, GetAttribute):
            return attribute_of(value, where)
        if isinstance(value, NoBytes) and not value.args and value.state is None:
            return b''
        raise rejection(f'{where} uses {value.path} in a way that no checkpoint of mmengine does')

    def array(self, state: Any, where: str) -> np.ndarray:
        """Return an array; raise if all arrays together are too large."""
        made = array_of(state, where)
        self.count(made.nbytes, where)
        return made.copy()

    def dense(self, tensor: torch.Tensor, where: str) -> torch.Tensor:
        """Return a tensor that shares its memory, without attributes and gradient; a copy if its elements overlap.

        Raises:
            pickle.UnpicklingError: the tensor is sparse (torch does not check its indices), quantised, nested or meta.
        """
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
            raise rejection(f'{where} is a sparse, quantised, nested or empty tensor; weights are dense')
        # Drops gradients and hooks, which torch does not store as Python attributes.
        plain = torch.Tensor.detach(tensor)
        storage = plain.untyped_storage()
        self.storages[storage._cdata] = storage.nbytes()
        if not fills_its_memory(plain):
            # torch's fused kernels assume contiguous elements without overlaps and gaps.
            self.count(plain.numel() * plain.element_size(), where)
            plain = plain.contiguous()
        if isinstance(tensor, torch.nn.Parameter):
            return torch.nn.Parameter(plain, requires_grad=tensor.requires_grad)
        return plain.requires_grad_(tensor.requires_grad)

    def count(self, size: int, where: str) -> None:
        """Add the bytes of an array or expanded tensor; raise an UnpicklingError above ``MAX_ARRAY_BYTES`` in total."""
        self.array_bytes += size
        if self.array_bytes > MAX_ARRAY_BYTES:
            raise rejection(f'{where}: arrays and expanded tensors are larger than {MAX_ARRAY_BYTES:,} bytes')


def is_built(value: Any) -> bool:
    """Return whether ``restore`` built this value: a numpy array or scalar, a HistoryBuffer or a method.

    Pickles that are loaded safely cannot contain these, so restoring twice is safe.
    """
    return type(value) in (np.ndarray, HistoryBuffer) or isinstance(value, np.generic) or is_method(value)


def is_method(value: Any) -> bool:
    """Return whether a value is one of the methods that mmengine's checkpoints refer to."""
    return any(value is each for each in METHODS)


def shown_key(key: Any) -> str:
    """Return a key for a message, or its type if its text could be very long."""
    if isinstance(key, str):
        return repr(key[:MAX_SHOWN])
    return str(key) if type(key) is int and abs(key) < 1 << 64 else f'a {type(key).__name__}'


def restore(content: Any) -> Any:
    """Return a loaded checkpoint with plain containers and the objects of its records.

    Raises:
        pickle.UnpicklingError: it contains other objects; the message has their position.
    """
    return Restorer()(content)


def fills_its_memory(tensor: torch.Tensor) -> bool:
    """Return whether a tensor's elements are contiguous in memory, in any order of its dimensions."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride != expected:
            return False
        expected *= max(size, 1)
    return True


def versions_of(metadata: Any) -> OrderedDict[str, dict[str, int]]:
    """Return the version of each module in a state dict's metadata, which loading needs."""
    found: OrderedDict[str, dict[str, int]] = OrderedDict()
    for name, each in dict.items(metadata) if type(metadata) in (dict, OrderedDict) else ():
        version = dict.get(each, 'version') if type(each) in (dict, OrderedDict) else None
        if type(name) is str and type(version) is int:
            found[name] = {'version': version}
    return found


def dtype_of(record: Any, where: str) -> np.dtype:
    """Return a numeric dtype from a record of ``dtype('f8', False, True)`` with the state ``(3, '<', ...)``."""
    code = record.args[0] if isinstance(record, Dtype) and record.args else None
    if not isinstance(code, str) or not DTYPE_CODE.fullmatch(code):
        raise rejection(f'{where}: an array of {shown_key(code)} is not an array of numbers')
    state = record.state
    if state is None:
        return np.dtype(code)
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
    order = order.decode('latin-1') if isinstance(order, bytes) else order
    if order not in ('<', '>', '|', '='):
        raise rejection(f'{where}: a dtype has the byte order {shown_key(order)}')
    return np.dtype(order + code)


def array_of(state: Any, where: str) -> np.ndarray:
    """Return an array from numpy's state ``(version, shape, dtype, column-major, bytes)``, with checks of its size."""
    if not isinstance(state, tuple) or len(state) != 5:
        raise rejection(f'{where}: an array has no shape, dtype and bytes')
    _, shape, dtype, column_major, data = state
    data = b'' if isinstance(data, NoBytes) and not data.args else data
    found = dtype_of(dtype, where)
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape) or len(shape) > 32:
        raise rejection(f'{where}: an array has a shape that is not a tuple of sizes')
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * found.itemsize:
        raise rejection(f'{where}: an array of shape {shape} has not the bytes of {math.prod(shape)} numbers')
    return np.frombuffer(data, found).reshape(shape, order='F' if column_major else 'C')


def history_of(state: Any, where: str) -> HistoryBuffer:
    """Return a HistoryBuffer with these attributes; raises an UnpicklingError if they are not those of one."""
    state = state if isinstance(state, dict) else {}
    arrays = [state.get(name) for name in ('_log_history', '_count_history')]
    length = state.get('max_length', 1)
    if not all(isinstance(each, np.ndarray) and each.ndim == 1 for each in arrays) or type(length) is not int or (
            length < 1) or len(arrays[0]) != len(arrays[1]):
        raise rejection(f'{where}: a log history is not two rows of numbers of the same length')
    history = HistoryBuffer(max_length=length)
    history._log_history, history._count_history = arrays
    return history


def attribute_of(record: Record, where: str) -> Callable:
    """Return the method of ``getattr(class, name)``, if it is one of mmengine's checkpoints."""
    owner, name = record.args if len(record.args) == 2 else (None, None)
    if (owner is History or isinstance(owner, History)) and name in STATISTICS:
        return getattr(HistoryBuffer, name)
    if owner is OneCycle and name in ANNEALING:
        return getattr(OneCycleParamScheduler, name)
    raise rejection(f'{where} names the attribute {shown_key(name)}; no code in the checkpoint was run')


def unpack(value: Mapping[str, Any], where: str) -> Any:
    """Return the object of a dictionary written by ``pack``."""
    kind = value[KIND]
    if kind == 'ndarray' and isinstance(value.get('values'), torch.Tensor):
        # The tensor may have been loaded to a GPU.
        return value['values'].detach().cpu().numpy()
    if kind == 'HistoryBuffer':
        return history_of({'_log_history': value.get('log'), '_count_history': value.get('count'),
                           'max_length': value.get('max_length')}, where)
    if kind == 'OneCycleParamScheduler' and value.get('method') in ANNEALING:
        return getattr(OneCycleParamScheduler, value['method'])
    raise rejection(f'{where} stands for an unknown {shown_key(kind)}; a newer mmpartref may have written it')


def pack(value: Any, where: str = 'the checkpoint', done: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """Return a checkpoint's content as plain values and tensors; the content is not changed.

    Log histories and numpy arrays are converted to tensors, numpy scalars to numbers.

    Args:
        value: the content.
        where: its position in the checkpoint, for messages.
        done: id -> packed value, so that shared containers stay shared.

    Raises:
        TypeError: a value has no plain form; the message has its position.
    """
    done = {} if done is None else done
    if id(value) not in done:
        done[id(value)] = value, pack_one(value, where, done)
    return done[id(value)][1]


def pack_one(value: Any, where: str, done: dict[int, tuple[Any, Any]]) -> Any:
    """Return the plain form of one value; arguments and errors as in ``pack``."""
    if isinstance(value, HistoryBuffer):
        log, count = value.data
        return {KIND: 'HistoryBuffer', 'log': pack_one(log, where, done),
                'count': pack_one(count, where, done), 'max_length': value.max_length}
    if isinstance(value, np.ndarray) and DTYPE_CODE.fullmatch(value.dtype.str[1:]):
        native = np.ascontiguousarray(value.astype(value.dtype.newbyteorder('=')))
        return {KIND: 'ndarray', 'values': torch.from_numpy(native.reshape(value.shape).copy())}
    if isinstance(value, np.generic) and DTYPE_CODE.fullmatch(value.dtype.str[1:]):
        return value.item()
    if is_method(value) and value.__name__ in ANNEALING:
        return {KIND: 'OneCycleParamScheduler', 'method': value.__name__}
    kind = type(value)
    if kind in PLAIN or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        if any(isinstance(key, frozenset) for key in value):
            raise InputTypeError(f'{where} has a frozen set as a key, which has no plain form')
        pairs = {pack(key, f'a key of {where}', done): pack(each, f'{where}[{shown_key(key)}]', done)
                 for key, each in value.items()}
        copy: Any = kind(pairs) if kind in (OrderedDict, Counter) else pairs
        if kind is OrderedDict and hasattr(value, '_metadata'):
            copy._metadata = value._metadata
        return copy
    if isinstance(value, (list, tuple, set, frozenset)):
        base = next(each for each in (list, tuple, set, frozenset) if isinstance(value, each))
        packed = [pack(each, f'{where}[{index}]', done) for index, each in enumerate(value)]
        return set(packed) if base is frozenset else base(packed)
    # Subclasses, such as IntEnum.
    found: Any = next((plain for plain in (int, float, str, bytes) if isinstance(value, plain)), None)
    if found is not None:
        return found(value)
    raise InputTypeError(f'{where} is a {kind.__module__}.{kind.__qualname__}, which has no plain form: a checkpoint '
                         'may contain numbers, strings, lists, dictionaries, arrays and tensors')
