"""Security check of a .pt2 file before torch reads it.

The format of ``torch.export`` can contain pickles, names of arbitrary functions and Python expressions.
"""
import json
import keyword
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmpartref.errors import WeightsError
from mmpartref.models.weights.zip_archives import check_archive_size

# Names of the files in an archive, without its top folder.
FILE_NAMES = re.compile(r'data/weights/(weight_\d+|model_weights_config\.json)|models/model\.json|'
                        r'data/constants/(tensor_\d+|model_constants_config\.json)|data/sample_inputs/model\.pt|'
                        r'extra/[\w.-]+|archive_format|archive_version|byteorder|\.data/(version|serialization_id)')
# Operators of a graph: those that the exporter writes for the encoders, necks and heads here. torch accepts any name
# below the module torch, torch.os.system among them, and some of its operators map files (from_file).
OPERATOR_NAMES = """
    _assert_tensor_metadata _softmax _to_copy abs adaptive_avg_pool2d add add_ addmm alias amax amin any arange
    argmax avg_pool2d baddbmm batch_norm bitwise_and bitwise_not bitwise_or bmm broadcast_tensors cat chunk clamp
    clamp_min clone col2im constant_pad_nd contiguous conv1d conv2d convolution copy cos cumsum detach detach_ div
    div_ dropout dropout_ einsum embedding empty_like eq erf exp expand expand_as eye flatten flip floor
    floor_divide full full_like gather ge gelu group_norm gt hardsigmoid hardswish im2col index index_select
    layer_norm le leaky_relu lift_fresh_copy linalg_norm linalg_vector_norm linear linspace log log_softmax
    logical_and logical_not logical_or lt masked_fill masked_fill_ matmul max max_pool2d maximum mean min minimum
    movedim mul mul_ narrow ne neg new_full new_ones new_zeros norm numpy_T ones
    ones_like pad permute pixel_shuffle pow prod reciprocal relu relu_ repeat repeat_interleave reshape roll rsqrt
    rsub scaled_dot_product_attention select sigmoid sign silu silu_ sin slice softmax split split_with_sizes sqrt
    squeeze stack sub sub_ sum sym_numel sym_size sym_storage_offset sym_stride tanh tile to topk transpose tril
    triu unbind unflatten unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest2d var
    view view_as where zeros zeros_like
"""
OPERATORS = frozenset(OPERATOR_NAMES.split())
TARGET = re.compile(r'torch\.ops\.aten\.(\w+)\.(?!_)\w+')
PYTHON_TARGET = re.compile(r'torch\.sym_(max|min|not|float|int|ite)|'
                           r'_operator\.(add|sub|mul|truediv|floordiv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_|getitem)')
# torch writes the names of a graph into Python source that it executes.
NAME = re.compile(r'([A-Za-z_]\w*(\.\w+)*)?', re.ASCII)
# Keys whose values have another check, are not names of a graph, or are quoted in the source.
OTHER_TEXTS = {'target', 'expr_str', 'in_spec', 'out_spec', 'metadata', 'as_string', 'as_strings', 'guards_code',
               'torch_version'}
# Sizes that depend on the input; sympy evaluates them as Python. The alternatives exclude one another, so that matching
# takes linear time.
EXPRESSION = re.compile(r"(?:Symbol\('[su]\d{1,4}'(?:, (?:positive|nonnegative|integer|real)=(?:True|False)){0,4}\)|"
                        r'(?:Integer|Rational|Float|Add|Mul|Min|Max|FloorDiv|Mod|CleanDiv|PythonMod)(?=\()|'
                        r'[su]\d|int_oo|oo|\d|\.|[-+/(), ]|\*(?!\*))*')
MAX_EXPRESSION = 1000
# Containers of inputs and outputs; a defaultdict would import a module.
CONTAINERS = {None, 'builtins.tuple', 'builtins.list', 'builtins.dict', 'collections.OrderedDict'}


def pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield all (key, value) of the objects of a json document, and ('', item) of its lists, at all depths."""
    for key, each in value.items() if isinstance(value, dict) else (('', each) for each in value):
        yield key, each
        if isinstance(each, (dict, list)):
            yield from pairs(each)


def fault_of_names(value: Any) -> str:
    """Describe the first invalid name of a json document; '' if all are valid."""
    if isinstance(value, str):
        return '' if NAME.fullmatch(value) else f'has the name {value!r:.80}'
    faults: list[str] = []
    if isinstance(value, dict):
        faults = [fault_of_names(key) or ('' if key in OTHER_TEXTS else fault_of_names(each))
                  for key, each in value.items()]
    elif isinstance(value, list):
        faults = [fault_of_names(each) for each in value]
    return next(filter(None, faults), '')


def fault_of_pair(key: str, value: Any) -> str:
    """Describe the code that an entry of a program would run; '' if none."""
    if key == 'forward_arg_names' and value and not all(is_argument(each) for each in value):
        return 'has an argument whose name is not an identifier'
    if key in ('as_operator', 'as_graph') and value is not None:
        return 'has a function as an argument'
    if key == 'target' and not is_known_target(value):
        return f'calls {value!r:.80}'
    if key == 'expr_str' and not (isinstance(value, str) and len(value) <= MAX_EXPRESSION
                                  and EXPRESSION.fullmatch(value)):
        return f'computes a size by {value!r:.80}'
    if key in ('in_spec', 'out_spec') and value:
        return fault_of_containers(value)
    if key == 'treespec_namedtuple_fields' and value:
        return 'has named tuples as inputs or outputs'
    if key == 'use_pickle' and value is not False:
        return 'contains a pickle'
    if key in ('as_custom_obj', 'as_script_object') and value is not None:
        return 'contains an object that is not a tensor'
    return ''


def is_known_target(value: Any) -> bool:
    """Return whether a graph's function is one of ``OPERATORS`` or arithmetic on sizes."""
    if not isinstance(value, str):
        return False
    found = TARGET.fullmatch(value)
    return found[1] in OPERATORS if found else PYTHON_TARGET.fullmatch(value) is not None


def is_argument(name: Any) -> bool:
    """Return whether a value is a valid argument name."""
    return isinstance(name, str) and name.isidentifier() and name.isascii() and not keyword.iskeyword(name)


def fault_of_containers(spec: str) -> str:
    """Describe the import that the spec of a program's inputs or outputs would cause; '' if none.

    A container's ``context`` is json within the json: the keys of a dictionary, or the name of a class to import.
    """
    for key, value in pairs(json.loads(spec)):
        if key == 'type' and value not in CONTAINERS:
            return 'has inputs or outputs other than tuples, lists and dictionaries'
        keys = json.loads(value) if key == 'context' and value is not None else None
        if keys is not None and not (isinstance(keys, list) and all(is_argument(each) for each in keys)):
            return 'has inputs or outputs with keys that are not identifiers'
    return ''


def check_pt2(path: str | Path) -> None:
    """Check that a .pt2 file contains only tensors and a graph of torch's operators; nothing in it is run.

    Raises:
        WeightsError: it contains more, has torch's older format, or is not a .pt2 file.
    """
    path = Path(path)
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise WeightsError(f'{path} is not a file that torch.export wrote; write it with tools/export.py')
    try:
        check_archive_size(path, numbered_only=False)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names) or len({name.partition('/')[0] for name in names}) > 1:
                raise WeightsError('it has duplicate file names, or two top folders')
            for name in names:
                inside = name.partition('/')[2]
                if not FILE_NAMES.fullmatch(inside):
                    raise WeightsError(f'it contains {inside or name!r:.80}, of an older format or a pickle')
                if inside.endswith('.json') and not inside.startswith('extra/'):
                    document = json.loads(archive.read(name))
                    faults = (fault_of_pair(*pair) for pair in pairs(document))
                    if fault := next(filter(None, faults), '') or fault_of_names(document):
                        raise WeightsError(f'its {inside} {fault}')
    except WeightsError as error:
        raise WeightsError(f'{path} was not loaded: {error}; nothing in it was run') from None
    except (ValueError, TypeError, RecursionError, zipfile.BadZipFile, KeyError, OSError) as error:
        raise WeightsError(f'{path} is damaged ({type(error).__name__}); write it again with tools/export.py') from None
