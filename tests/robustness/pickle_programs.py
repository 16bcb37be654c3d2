"""Seeded pickle programs over the names that a checkpoint may use, and the file formats that carry them.

A program is made of expressions, so that most of it is well formed: literals, containers, memo entries, storages, calls
(REDUCE, NEWOBJ) with plausible or random arguments, and BUILD on what a call gives. Templates of known attacks stand
among them, written with the names at hand. Random opcodes make some programs malformed.
"""
import io
import itertools
import pickle
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

MAGIC_NUMBER, PROTOCOL_VERSION = 0x1950a86a20f9469cfc6c, 1001
FORMATS = ('zip', 'legacy', 'tar')
KEYS = ('0', '1', '2')
STORAGE_BYTES = 64
TYPES = {'FloatStorage': 4, 'DoubleStorage': 8, 'LongStorage': 8, 'ByteStorage': 1, 'QInt8Storage': 1, 'BoolStorage': 1}
# Attribute paths from an array, a class or a function to code that runs commands or opens files; the first more often.
CHAINS = (
    ('ctypes', '_ctypes', '_os', 'system'),
    ('ctypes', '_ctypes', '_sys', 'modules'),
    ('ctypes', '_ctypes', 'CDLL'),
    ('__init__', '__globals__', '__builtins__'),
    ('__class__', '__base__', '__subclasses__'),
    ('mean', '__func__', '__globals__'),
    ('mean', '__func__', '__code__'),
    ('__reduce__', '__self__', '__class__'),
    ('tofile', ), ('dump', ), ('__setstate__', ),
    ('_annealing_cos', '__globals__'),
)
ATTRIBUTES = sorted({each for chain in CHAINS for each in chain}
                    | {'min', 'max', 'current', 'mean', '_annealing_linear', 'data', 'base', '__dict__', '__module__'})
# What a pickle could put on an object for others to call or to read.
SLOTS = ('__setstate__', '__deepcopy__', '__reduce_ex__', 'items', 'keys', '__class__', '__call__', '_metadata',
         'detach', 'to', 'numpy', 'dtype', '_untyped_storage', 'requires_grad', '_backward_hooks', 'data', 'step',
         'mean')
# Names whose call always raises on a machine without CUDA, and so ends the program.
ENDING = ('torch.cuda', 'torch._utils._rebuild_wrapper_subclass', 'torch._utils._rebuild_device_tensor_from_numpy',
          'torch.distributed', 'torch.nested', 'torch._dynamo')
# Names on whose results a BUILD always raises.
UNBUILT = ('torch.sparse', 'torch.Size', 'torch.device', '_codecs', 'builtins', 'torch.serialization',
           'torch._utils._rebuild_qtensor', 'torch._utils._rebuild_sparse_tensor',
           'torch._utils._rebuild_nested_tensor')
COMMANDS = ('true', 'exit 0', '/nowhere/marker')


@dataclass(frozen=True)
class Storage:
    """A persistent id, which the formats write differently."""
    key: str
    type: str
    count: int

    def write(self, format: str) -> bytes:
        """Return the opcodes that push the storage."""
        if format == 'tar':
            return integer(int(self.key)) + pickle.BINPERSID
        more = pickle.NONE if format == 'legacy' else b''
        return (pickle.MARK + text('storage') + named(f'torch.{self.type}') + text(self.key) + text('cpu')
                + integer(self.count) + more + pickle.TUPLE + pickle.BINPERSID)


@dataclass
class Program:
    """Opcodes of one pickle.

    Attributes:
        number: its number with this seed.
        parts: opcodes in order, storages apart.
        calls, builds: index of the part that calls a name, or builds upon what it made, and the name.
        templates: names of the templates in it.
    """
    number: int
    parts: list[bytes | Storage] = field(default_factory=list)
    calls: list[tuple[int, str]] = field(default_factory=list)
    builds: list[tuple[int, str]] = field(default_factory=list)
    templates: list[str] = field(default_factory=list)

    def pickle(self, format: str) -> bytes:
        """Return the bytes for a file format."""
        return b''.join(each.write(format) if isinstance(each, Storage) else each for each in self.parts)

    def used(self, format: str, consumed: int) -> tuple[set[str], set[str]]:
        """Return the names called and built upon by an unpickler that has read so many bytes."""
        lengths = (len(each.write(format) if isinstance(each, Storage) else each) for each in self.parts)
        ends = list(itertools.accumulate(lengths))
        return tuple({name for part, name in uses if ends[part] <= consumed} for uses in (self.calls, self.builds))

    def write(self, path: Path, format: str) -> None:
        """Write the program as a checkpoint of torch's zip format, its older one or its oldest."""
        content = self.pickle(format)
        if format == 'zip':
            write_zip(path, content)
        elif format == 'legacy':
            used = dict.fromkeys(each.key for each in self.parts if isinstance(each, Storage))
            write_legacy(path, content, self.storages(list(used)))
        else:
            write_tar(path, content)

    def storages(self, keys: list[str]) -> dict[str, tuple[int, int]]:
        """Return the number of elements and the element size of storages as the program first names them."""
        first = {}
        for each in self.parts:
            if isinstance(each, Storage):
                first.setdefault(each.key, (each.count, TYPES[each.type]))
        return {key: first[key] for key in keys}


def write_zip(path: Path, content: bytes, name: str = 'archive', compression: int = zipfile.ZIP_STORED) -> None:
    """Write torch's zip format with three storages of ``STORAGE_BYTES``."""
    with zipfile.ZipFile(path, 'w', compression) as archive:
        archive.writestr(f'{name}/data.pkl', content)
        archive.writestr(f'{name}/byteorder', 'little')
        for key in KEYS:
            archive.writestr(f'{name}/data/{key}', bytes(range(STORAGE_BYTES)))
        archive.writestr(f'{name}/version', '3\n')


def write_legacy(path: Path, content: bytes, storages: dict[str, tuple[int, int]] | None = None) -> None:
    """Write magic number, version, system, the pickle, then the storages: number of elements and size of each."""
    storages = storages or {}
    system = {'protocol_version': PROTOCOL_VERSION, 'little_endian': True,
              'type_sizes': {'short': 2, 'int': 4, 'long': 8}}
    start = b''.join(pickle.dumps(each, 2) for each in (MAGIC_NUMBER, PROTOCOL_VERSION, system))
    data = b''.join(struct.pack('<q', count) + bytes(count * size) for count, size in storages.values())
    path.write_bytes(start + content + pickle.dumps(list(storages), 2) + data)


def write_tar(path: Path, content: bytes) -> None:
    """Write the tar format of the first torch versions, without storages."""
    with tarfile.open(path, 'w', format=tarfile.PAX_FORMAT) as archive:
        for name, data in {'storages': pickle.dumps(0, 2) + pickle.dumps([], 2), 'tensors': pickle.dumps(0, 2),
                           'pickle': content}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


WRITERS: dict[str, Callable[..., None]] = {'zip': write_zip, 'legacy': write_legacy, 'tar': write_tar}


def named(path: str) -> bytes:
    """Return the opcode that pushes a global."""
    module, name = path.rsplit('.', 1)
    return pickle.GLOBAL + f'{module}\n{name}\n'.encode()


def text(value: str) -> bytes:
    """Return the opcode that pushes a string."""
    data = value.encode('utf-8', 'surrogatepass')
    return pickle.BINUNICODE + struct.pack('<I', len(data)) + data


def integer(value: int) -> bytes:
    """Return the shortest opcode that pushes a whole number."""
    if 0 <= value < 1 << 8:
        return pickle.BININT1 + bytes([value])
    if 0 <= value < 1 << 16:
        return pickle.BININT2 + struct.pack('<H', value)
    if -1 << 31 <= value < 1 << 31:
        return pickle.BININT + struct.pack('<i', value)
    data = value.to_bytes(value.bit_length() // 8 + 1, 'little', signed=True)
    return pickle.LONG1 + bytes([len(data)]) + data


def torch_names() -> list[str]:
    """Return the names that torch itself allows."""
    return list(torch._weights_only_unpickler._get_allowed_globals())


def callables(names: list[str]) -> list[str]:
    """Return the names that can be called; the others are dtypes, storage types and quantization schemes."""
    known = torch._weights_only_unpickler._get_allowed_globals()
    return [name for name in names if name not in known or callable(known[name])]


class Writer:
    """Write one program.

    Args:
        names: all names that may be used.
        seed: of the run.
        number: of the program; the names take turns in being called and built upon.
    """

    def __init__(self, names: list[str], seed: int, number: int) -> None:
        self.names = names
        self.called = callables(names)
        self.rng = random.Random(f'{seed}:{number}')
        self.program = Program(number)
        self.memo: list[int] = []
        # No random arguments.
        self.exact = False
        # Values yet to come: bounds the size of a program.
        self.left = 60

    def emit(self, *parts: bytes | Storage) -> None:
        """Append opcodes."""
        self.program.parts.extend(parts)

    def write(self) -> Program:
        """Return the program: the name whose turn it is, called and built upon, and a checkpoint or any value."""
        rng = self.rng
        if rng.random() < 0.9:
            self.emit(pickle.PROTO + bytes([rng.choice((2, 2, 2, 2, 3, 4, 5))]))
        round, turn = divmod(self.program.number, len(self.called))
        taken = round < 2 or not self.called[turn].startswith(ENDING)
        if taken:
            self.exact = True
            self.turn(self.called[turn], round)
            self.exact = False
        if rng.random() < 0.5:
            self.value(3)
        else:
            self.checkpoint()
        if taken:
            self.emit(pickle.TUPLE2)
        if rng.random() < 0.15:
            self.noise()
        self.emit(pickle.STOP)
        return self.program

    def turn(self, name: str, round: int) -> None:
        """Call a name and build upon the result."""
        if name.startswith(ENDING) and round:
            self.emit(named(name), pickle.EMPTY_TUPLE)
            self.build(name)
        else:
            self.call(name, new=round % 2 == 1 and not is_function(name))
            # What is built upon the others is always rejected: once is enough.
            if self.recipe_state(name) is None and (round == 0 or not name.startswith((*ENDING, *UNBUILT))):
                self.state(name)
                self.build(name)

    def checkpoint(self) -> None:
        """Push a dictionary of the parts that a run's checkpoint has."""
        self.emit(pickle.EMPTY_DICT, pickle.MARK)
        for key in ('state_dict', 'message_hub', 'meta', 'param_schedulers', 'optimizer'):
            self.emit(text(key))
            if key == 'message_hub':
                self.dictionary({'log_scalars': self.history_dict, 'runtime_info': self.any_dict,
                                 'resumed_keys': self.any_dict})
            elif key == 'meta':
                self.dictionary({'epoch': self.integer, 'iter': self.integer, 'config': self.string,
                                 'seed': self.atom, 'x': lambda: self.value(2)})
            elif key == 'param_schedulers':
                self.emit(pickle.EMPTY_LIST)
                self.any_dict()
                self.emit(pickle.APPEND)
            else:
                self.any_dict()
        self.emit(pickle.SETITEMS)

    def dictionary(self, entries: dict[str, Callable[[], None]]) -> None:
        """Push a dictionary of given keys."""
        self.emit(pickle.EMPTY_DICT)
        for key, push in entries.items():
            self.emit(text(key))
            push()
            self.emit(pickle.SETITEM)

    def any_dict(self) -> None:
        """Push a dictionary or ordered dictionary with names that others read."""
        if self.rng.random() < 0.4:
            self.call('collections.OrderedDict', [])
        else:
            self.emit(pickle.EMPTY_DICT)
        for _ in range(self.rng.randrange(3)):
            self.emit(text(self.rng.choice((*SLOTS, 'loss', '0.weight', '__mmpartref__', 'values', 'method'))))
            self.value(2)
            self.emit(pickle.SETITEM)

    def history_dict(self) -> None:
        """Push a dictionary with a log history, where the names have one, and any value."""
        self.emit(pickle.EMPTY_DICT, text('loss'))
        history = [name for name in self.names if name.endswith('HistoryBuffer')]
        if history:
            self.call(history[0])
        else:
            self.value(2)
        self.emit(pickle.SETITEM)

    # Values: each pushes one.

    def value(self, depth: int) -> None:
        """Push any value."""
        self.left -= 1
        if depth <= 0 or self.left < 0:
            return self.atom()
        kinds = ((self.atom, 4), (self.container, 4), (self.remembered, 2), (self.storage, 1), (self.tensor, 2),
                 (self.any_name, 1), (self.any_call, 7), (self.template, 3), (self.ordered, 1), (self.misused, 0.15))
        chosen = self.rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        chosen(depth - 1)
        if self.rng.random() < 0.2:
            self.remember()
        return None

    def atom(self, depth: int = 0) -> None:
        """Push a plain value."""
        self.rng.choice((lambda: self.emit(pickle.NONE), lambda: self.emit(pickle.NEWTRUE),
                         lambda: self.emit(pickle.NEWFALSE), self.integer, self.integer, self.number, self.string,
                         self.string, self.data, lambda: self.emit(pickle.EMPTY_TUPLE),
                         lambda: self.emit(pickle.EMPTY_SET)))()

    def integer(self) -> None:
        """Push a small or a far too large whole number."""
        self.emit(integer(self.rng.choice((0, 1, 2, 3, 5, 255, 256, 70000, -1, -2, 1 << 48, -(1 << 63), 1 << 80))
                          if self.rng.random() < 0.3 else self.rng.randrange(4)))

    def number(self) -> None:
        """Push a float."""
        self.emit(pickle.BINFLOAT + struct.pack('>d', self.rng.choice((0.0, -1.5, float('nan'), 1e308, 3.0))))

    def string(self) -> None:
        """Push a text: a name, an attribute, a command or a dtype."""
        value = self.rng.choice((self.rng.choice(ATTRIBUTES), self.rng.choice(SLOTS), self.rng.choice(COMMANDS),
                                 self.rng.choice(('f8', 'O', '<', 'latin1', 'storage', 'cpu', 'a.b', '', '\udc80'))))
        if self.rng.random() < 0.1:
            data = value.encode('ascii', 'replace')
            self.emit(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.emit(text(value))

    def data(self, length: int | None = None) -> None:
        """Push bytes, which protocol 2 writes as a call of ``_codecs.encode``."""
        length = self.rng.choice((0, 1, 8, 16)) if length is None else length
        # An address that is not mapped, for whoever takes the bytes for pointers; also the typecode of an array.
        self.call('_codecs.encode', [lambda: self.emit(text('b' * length)), lambda: self.emit(text('latin1'))])

    def container(self, depth: int) -> None:
        """Push a tuple, list, set or dictionary."""
        kind = self.rng.choice(('tuple', 'small tuple', 'list', 'append', 'dict', 'set'))
        size = self.rng.randrange(1, 4)
        if kind == 'tuple':
            self.emit(pickle.MARK)
            self.values(size, depth)
            self.emit(pickle.TUPLE)
        elif kind == 'small tuple':
            self.values(size, depth)
            self.emit((pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)[size - 1])
        elif kind == 'list':
            self.emit(pickle.EMPTY_LIST)
            self.remember_some()
            self.emit(pickle.MARK)
            self.values(size, depth)
            self.emit(pickle.APPENDS)
        elif kind == 'append':
            self.emit(pickle.EMPTY_LIST)
            self.value(depth)
            self.emit(pickle.APPEND)
        elif kind == 'set':
            self.call('builtins.set', [lambda: self.emit(pickle.EMPTY_LIST, integer(1), pickle.APPEND)])
        else:
            self.emit(pickle.EMPTY_DICT)
            self.remember_some()
            self.emit(pickle.MARK)
            for _ in range(size):
                self.rng.choice((self.string, self.string, self.integer))()
                self.value(depth)
            self.emit(pickle.SETITEMS)

    def values(self, size: int, depth: int) -> None:
        """Push several values."""
        for _ in range(size):
            self.value(depth)

    def remember(self) -> None:
        """Store the top of the stack in the memo."""
        key = self.rng.choice((self.rng.randrange(8), 300))
        self.emit(pickle.BINPUT + bytes([key]) if key < 256 else pickle.LONG_BINPUT + struct.pack('<I', key))
        self.memo.append(key)

    def remember_some(self) -> None:
        """Store a container in the memo before it is filled; it may then contain itself."""
        if self.rng.random() < 0.1:
            self.remember()

    def remembered(self, depth: int) -> None:
        """Push from the memo."""
        if not self.memo:
            return self.value(depth)
        key = self.rng.choice(self.memo)
        self.emit(pickle.BINGET + bytes([key]) if key < 256 else pickle.LONG_BINGET + struct.pack('<I', key))
        return None

    def storage(self, depth: int = 0) -> None:
        """Push a storage."""
        kind = self.rng.choice(list(TYPES))
        self.emit(Storage(self.rng.choice(KEYS), kind, STORAGE_BYTES // TYPES[kind]))

    def tensor(self, depth: int = 0) -> None:
        """Push a tensor."""
        self.call('torch._utils._rebuild_tensor_v2')

    def any_name(self, depth: int) -> None:
        """Push a name without a call."""
        self.emit(named(self.rng.choice(self.names)))

    def any_call(self, depth: int) -> None:
        """Call a name, those of this project's list as often as torch's; sometimes build upon the result."""
        ours = [name for name in self.names if not name.startswith(('torch', 'collections', 'builtins.', '_codecs'))
                or name.endswith('.getattr')]
        pool = ours if ours and self.rng.random() < 0.5 else [
            name for name in self.called if not name.startswith((*ENDING, 'torch.sparse')) or self.rng.random() < 0.05]
        name = self.rng.choice(pool)
        self.call(name, new=self.rng.random() < 0.2 and not is_function(name))
        if self.rng.random() < (0.03 if name.startswith(UNBUILT) else 0.15):
            self.state(name)
            self.build(name)

    def ordered(self, depth: int) -> None:
        """Push an ordered dictionary with attributes that replace its methods."""
        self.call('collections.OrderedDict', [])
        self.attributes(depth)
        self.build('collections.OrderedDict')

    def attributes(self, depth: int) -> None:
        """Push a state: a dictionary of attributes that others call or read."""
        self.emit(pickle.EMPTY_DICT)
        for _ in range(self.rng.randrange(1, 3)):
            self.emit(text(self.rng.choice(SLOTS)))
            self.rng.choice((self.any_name, self.value, self.chain))(depth)
            self.emit(pickle.SETITEM)

    def misused(self, depth: int) -> None:
        """Call or build upon something that is not a name."""
        self.value(depth)
        self.value(depth)
        self.emit(self.rng.choice((pickle.REDUCE, pickle.NEWOBJ, pickle.BUILD, pickle.BINPERSID, pickle.APPEND)))

    def noise(self) -> None:
        """Emit random opcodes."""
        for _ in range(self.rng.randrange(1, 4)):
            self.emit(self.rng.choice((pickle.TUPLE1, pickle.TUPLE2, pickle.MARK, pickle.REDUCE, pickle.BUILD,
                                       pickle.NEWOBJ, pickle.BINPERSID, pickle.APPENDS, pickle.SETITEM, pickle.EXT1,
                                       pickle.INST, pickle.OBJ, pickle.STACK_GLOBAL, pickle.FRAME, pickle.NONE)))

    # Calls.

    def call(self, name: str, arguments: list[Callable[[], None]] | None = None, new: bool = False) -> None:
        """Push the result of a call; arguments of its recipe are now and then replaced by any value."""
        self.left -= 1
        self.emit(named(name), pickle.MARK)
        recipe = self.recipe(name) if arguments is None else arguments
        for push in recipe:
            if arguments is None and not self.exact and self.rng.random() < 0.02:
                self.value(1)
            else:
                push()
        self.emit(pickle.TUPLE)
        self.program.calls.append((len(self.program.parts), name))
        self.emit(pickle.NEWOBJ if new else pickle.REDUCE)
        state = self.recipe_state(name) if arguments is None and not new else None
        if state is not None:
            state()
            self.build(name)

    def build(self, name: str) -> None:
        """Build upon what a name has made."""
        self.program.builds.append((len(self.program.parts), name))
        self.emit(pickle.BUILD)

    def state(self, name: str) -> None:
        """Push a state that the type of the result may take."""
        short = name.rsplit('.', 1)[1]
        if short == 'OrderedDict' or short in ('Counter', 'TypedStorage', 'UntypedStorage') or not (
                name.startswith(('torch', 'builtins', '_codecs'))):
            self.attributes(1)
        elif short.startswith('_rebuild_parameter') or short == 'Parameter':
            self.tuple(lambda: self.emit(pickle.NEWFALSE), lambda: self.emit(pickle.NONE), self.hooks)
        else:
            self.emit(pickle.EMPTY_TUPLE)

    def tuple(self, *pushes: Callable[[], None]) -> None:
        """Push a tuple."""
        self.emit(pickle.MARK)
        for push in pushes:
            push()
        self.emit(pickle.TUPLE)

    def ints(self, *values: int) -> Callable[[], None]:
        """Return what pushes a tuple of whole numbers, one of them now and then another."""
        def push(value: int) -> None:
            if not self.exact and self.rng.random() < 0.02:
                self.integer()
            else:
                self.emit(integer(value))

        return lambda: self.tuple(*(lambda value=value: push(value) for value in values))

    def hooks(self) -> None:
        """Push the hooks of a tensor: an empty dict, or names."""
        self.call('collections.OrderedDict', [])
        if self.rng.random() < 0.1:
            self.emit(integer(0))
            self.any_name(0)
            self.emit(pickle.SETITEM)

    def recipe(self, name: str) -> list[Callable[[], None]]:
        """Return what pushes the arguments with which a name can be called."""
        short = name.rsplit('.', 1)[1]

        def push(*parts: bytes | Storage) -> Callable[[], None]:
            return lambda: self.emit(*parts)

        no, dtype = push(pickle.NEWFALSE), push(named(self.rng.choice(('torch.float32', 'torch.int64', 'torch.uint8'))))
        kind = self.rng.choice(('FloatStorage', 'LongStorage', 'DoubleStorage'))
        storage = push(Storage(self.rng.choice(KEYS), kind, STORAGE_BYTES // TYPES[kind]))
        placed = [storage, push(integer(self.rng.randrange(3))), self.ints(2), self.ints(1)]
        layout = lambda: self.call('torch.serialization._get_layout', [push(text('torch.sparse_coo'))])  # noqa: E731
        rows = lambda: self.call('torch.serialization._get_layout', [push(text('torch.sparse_csr'))])  # noqa: E731
        strided = lambda: self.call('torch.serialization._get_layout', [push(text('torch.strided'))])  # noqa: E731
        indices = lambda: self.call('torch._utils._rebuild_tensor_v2', [  # noqa: E731
            push(Storage('2', 'LongStorage', 8)), push(integer(0)), self.ints(1, 2), self.ints(2, 1), no, self.hooks])
        side = self.ints(1, 1) if short == '_rebuild_nested_tensor' else self.ints(2)
        sizes = lambda: self.call('torch._utils._rebuild_tensor_v2', [  # noqa: E731
            push(Storage('2', 'LongStorage', 8)), push(integer(0)), side,
            self.ints(1, 1) if short == '_rebuild_nested_tensor' else self.ints(1), no, self.hooks])
        simple = {
            '_rebuild_tensor': placed,
            '_rebuild_tensor_v2': [*placed, no, self.hooks],
            '_rebuild_tensor_v3': [*placed, no, self.hooks, dtype],
            '_rebuild_qtensor': [push(Storage('0', 'QInt8Storage', STORAGE_BYTES)), *placed[1:], lambda: self.tuple(
                push(named('torch.per_tensor_affine')), self.number, push(integer(0))), no, self.hooks],
            '_rebuild_parameter': [self.tensor, no, self.hooks],
            '_rebuild_parameter_with_state': [self.tensor, no, self.hooks, lambda: self.attributes(1)],
            '_rebuild_sparse_tensor': [layout, lambda: self.tuple(indices, self.tensor, self.ints(4))]
            if self.rng.random() < 0.6 else
            [rows, lambda: self.tuple(sizes, sizes, self.tensor, self.ints(1, 2))],
            '_rebuild_meta_tensor_no_storage': [dtype, self.ints(2), self.ints(1), no],
            '_rebuild_nested_tensor': [self.tensor, sizes, sizes, indices],
            '_rebuild_wrapper_subclass': [push(named('torch.Tensor')), dtype, self.ints(2), self.ints(1),
                                          push(integer(0)), strided, push(text('cpu')), no],
            '_rebuild_device_tensor_from_cpu_tensor': [self.tensor, dtype, push(text('cpu')), no],
            '_rebuild_device_tensor_from_numpy': [self.array, dtype, push(text('cpu')), no],
            '_rebuild_from_type_v2': [push(named(self.rng.choice(self.called))), push(named('torch.Tensor')),
                                      lambda: self.tuple(lambda: self.value(1)), lambda: self.attributes(1)]
            if self.rng.random() < 0.3 else
            [push(named('torch._utils._rebuild_tensor_v2')), push(named('torch.nn.parameter.Parameter')),
             lambda: self.tuple(*placed, no, self.hooks), lambda: self.attributes(0)],
            '_get_layout': [push(text('torch.strided'))],
            'Size': [self.ints(2, 3)], 'device': [push(text('cpu'))],
            'encode': [push(text('abc')), push(text('latin1'))],
            'Parameter': [self.tensor], 'complex': [self.number], 'UntypedStorage': [push(integer(8))],
            'dtype': [push(text(self.rng.choice(('f8', 'i8', 'u1', 'b1', 'f4', 'O')))), no, push(pickle.NEWTRUE)],
            '_reconstruct': [push(named('numpy.ndarray')), self.ints(0), lambda: self.data(1)],
            'scalar': [lambda: self.dtype('f8'), lambda: self.data(8)],
            'ndarray': [self.ints(1), lambda: self.dtype('f8'), lambda: self.data(8)],
            'getattr': [lambda: self.emit(named(self.owner())),
                        lambda: self.emit(text(self.rng.choice(ATTRIBUTES)))],
            'DeviceMesh': [push(text('cpu')), lambda: self.emit(pickle.EMPTY_LIST, integer(0), pickle.APPEND)],
            'Shard': [push(integer(0))], 'Partial': [push(text('sum'))],
            '_StridedShard': [push(integer(0)), push(integer(2))],
            'TensorMeta': [self.ints(2), self.ints(1), dtype], 'ShardOrderEntry': [push(integer(0)), self.ints(0)],
            '_DimRange': [push(integer(0))] * 3, '_FlatLayout': [self.ints(2), self.ints(1)],
        }
        return simple.get(short, [])

    def owner(self) -> str:
        """Return a name whose attributes mmengine's checkpoints refer to."""
        return self.rng.choice([name for name in self.names if name.endswith((
            'HistoryBuffer', 'OneCycleParamScheduler'))] or self.called)

    def recipe_state(self, name: str) -> Callable[[], None] | None:
        """Return what pushes the state that mmengine's checkpoints build upon a name, or None."""
        short = name.rsplit('.', 1)[1]
        if name == 'numpy.dtype':
            return lambda: self.dtype_state('<')
        if short == '_reconstruct':
            return lambda: self.tuple(lambda: self.emit(integer(1)), self.ints(2), lambda: self.dtype('f8'),
                                      lambda: self.emit(pickle.NEWFALSE), lambda: self.data(16))
        if short == 'HistoryBuffer':
            return lambda: self.dictionary({
                '_log_history': self.array, '_count_history': self.array, 'max_length': lambda: self.emit(integer(9)),
                **({'_statistics_methods': lambda: self.template(1)} if self.rng.random() < 0.2 else {})})
        return None

    def dtype(self, code: str) -> None:
        """Push a numpy dtype, where the names have one."""
        if 'numpy.dtype' not in self.names:
            return self.emit(pickle.NONE)
        self.call('numpy.dtype', [lambda: self.emit(text(code)), lambda: self.emit(pickle.NEWFALSE),
                                  lambda: self.emit(pickle.NEWTRUE)])
        return None

    def dtype_state(self, order: str) -> None:
        """Push the state of a numpy dtype."""
        self.emit(pickle.MARK, integer(3), text(order), pickle.NONE * 3, integer(-1) * 2, integer(0), pickle.TUPLE)

    def array(self) -> None:
        """Push an array, where the names can make one."""
        makers = [name for name in self.names if name.endswith('._reconstruct')]
        if makers:
            self.call(self.rng.choice(makers))
        else:
            self.tensor()

    # Templates of attacks.

    def template(self, depth: int) -> None:
        """Push what a known attack pushes."""
        chosen = self.rng.choice((self.chain, self.objects_of_bytes, self.set_then_build, self.set_then_build,
                                  self.many_arrays))
        self.program.templates.append(chosen.__name__)
        chosen(depth)

    def chain(self, depth: int) -> None:
        """Push an attribute of an attribute of what an allowed name makes."""
        getters = [name for name in self.names if name.endswith('.getattr')]
        if not getters:
            return self.value(depth)
        known = self.rng.random() < 0.6
        steps = CHAINS[int(len(CHAINS) * self.rng.random()**2)] if known else self.rng.choices(
            ATTRIBUTES, k=self.rng.randrange(1, 5))
        self.emit(*(part for _ in steps for part in (named(getters[0]), pickle.MARK)))
        if known and steps[0] in ('ctypes', 'tofile', 'dump'):
            self.array()
        else:
            self.rng.choice((self.array, lambda: self.emit(named(self.owner())), lambda: self.any_name(0)))()
        for step in steps:
            self.emit(text(step), pickle.TUPLE)
            self.program.calls.append((len(self.program.parts), getters[0]))
            self.emit(pickle.REDUCE)
        return None

    def objects_of_bytes(self, depth: int) -> None:
        """Push an array whose bytes are taken for pointers to objects, by each maker of arrays."""
        makers = [name for name in self.names if name.startswith('numpy') and not name.endswith('.dtype')]
        if not makers:
            return self.value(depth)
        maker, code = self.rng.choice(makers), self.rng.choice(('O', 'O', 'O', 'V8', 'M8[s]', 'O,O'))
        if maker.endswith('scalar'):
            self.call(maker, [lambda: self.dtype(code), lambda: self.data(8)])
        elif maker.endswith('_reconstruct'):
            self.call(maker, [lambda: self.emit(named('numpy.ndarray')), self.ints(0), lambda: self.data(1)])
            self.tuple(lambda: self.emit(integer(1)), self.ints(1), lambda: self.dtype(code),
                       lambda: self.emit(pickle.NEWFALSE), lambda: self.data(8))
            self.build(maker)
        else:
            self.call(maker, [self.ints(1), lambda: self.dtype(code), lambda: self.data(8)])
        return None

    def set_then_build(self, depth: int) -> None:
        """Set attributes of an object by BUILD, then build upon it again: what was set may be called."""
        makers = sorted((name for name in self.names if name.endswith((
            'HistoryBuffer', 'OrderedDict', 'Counter', 'TypedStorage'))), key=lambda name: 'HistoryBuffer' not in name)
        name = self.rng.choice([*makers, makers[0], makers[0]])
        if name.endswith('TypedStorage'):
            self.storage()
        else:
            self.call(name, [])
        for number in range(2):
            if number:
                self.emit(text(self.rng.choice(COMMANDS)))
            elif self.rng.random() < 0.7:
                self.emit(pickle.EMPTY_DICT, text('__setstate__'))
                self.chain(depth)
                self.emit(pickle.SETITEM)
            else:
                self.attributes(depth)
            if number == 0 or name.endswith('HistoryBuffer'):
                self.build(name)
            else:
                self.emit(pickle.TUPLE2)

    def many_arrays(self, depth: int) -> None:
        """Push a list of arrays that share their bytes."""
        self.array()
        self.emit(pickle.BINPUT + b'\x09', pickle.EMPTY_LIST, pickle.MARK, *([pickle.BINGET + b'\x09'] * 20),
                  pickle.APPENDS, pickle.TUPLE2)


def is_function(name: str) -> bool:
    """Return whether a name is a function, which NEWOBJ cannot make an object of."""
    known = torch._weights_only_unpickler._get_allowed_globals()
    return name in known and not isinstance(known[name], type)


def programs(names: list[str], seed: int, numbers: range) -> Iterator[Program]:
    """Yield programs; each depends on the seed and its number alone."""
    for number in numbers:
        yield Writer(names, seed, number).write()
