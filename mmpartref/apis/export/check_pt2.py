"""Check a .pt2 file before torch reads it.

The format of ``torch.export`` can hold pickles, the name of any function and Python expressions.
"""
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmpartref.errors import WeightsError
from mmpartref.models.weights.torchscript import check_archive_size

# What the files of an archive are named, behind the name of its top folder.
FILE_NAMES = re.compile(r'data/weights/(weight_\d+|model_weights_config\.json)|models/model\.json|'
                        r'data/constants/(tensor_\d+|model_constants_config\.json)|data/sample_inputs/model\.pt|'
                        r'extra/[\w.-]+|archive_format|archive_version|byteorder|\.data/(version|serialization_id)')
# Functions of a graph. torch would take any name that is found below the module torch, torch.os.system among them.
TARGET = re.compile(r'torch\.ops\.aten\.\w+\.\w+|torch\.sym_(max|min|not|float|int|ite)|'
                    r'_operator\.(add|sub|mul|truediv|floordiv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|getitem)')
# Sizes that depend on the input; sympy evaluates them as Python.
EXPRESSION = re.compile(r"(?:Symbol\('[su]\d+'(?:, (?:positive|nonnegative|integer|real)=(?:True|False))*\)|"
                        r'(?:Integer|Rational|Float|Add|Mul|Pow|Min|Max|FloorDiv|Mod|CleanDiv|PythonMod)(?=\()|'
                        r'[su]\d+|int_oo|oo|[\d.]+|[-+*/(), ])*')
# Containers of inputs and outputs; a defaultdict's would import a module.
CONTAINERS = {None, 'builtins.tuple', 'builtins.list', 'builtins.dict', 'collections.OrderedDict'}


def pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a json document with its value, at all depths."""
    for key, each in value.items() if isinstance(value, dict) else (('', each) for each in value):
        yield key, each
        if isinstance(each, (dict, list)):
            yield from pairs(each)


def fault_of_pair(key: str, value: Any) -> str:
    """Return what an entry of a program would run, '' if nothing."""
    if key == 'target' and not (isinstance(value, str) and TARGET.fullmatch(value)):
        return f'calls {value!r:.80}'
    if key == 'expr_str' and not (isinstance(value, str) and EXPRESSION.fullmatch(value)):
        return f'computes a size by {value!r:.80}'
    if key in ('in_spec', 'out_spec') and value:
        found = {each for name, each in pairs(json.loads(value)) if name == 'type'}
        return '' if found <= CONTAINERS else 'has inputs or outputs other than tuples, lists and dictionaries'
    if key == 'use_pickle' and value is not False:
        return 'holds a pickle'
    if key in ('as_custom_obj', 'as_script_object') and value is not None:
        return 'holds an object that is not a tensor'
    return ''


def check_pt2(path: str | Path) -> None:
    """Raise where a .pt2 file holds more than tensors and a graph of torch's own operators.

    Raises:
        WeightsError: it does, is of torch's older format, or is not such a file; nothing in it was run.
    """
    path = Path(path)
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise WeightsError(f'{path} is not a file that torch.export wrote; write it with tools/export.py')
    try:
        check_archive_size(path)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names) or len({name.partition('/')[0] for name in names}) > 1:
                raise WeightsError('it has two files of one name, or two folders')
            for name in names:
                inside = name.partition('/')[2]
                if not FILE_NAMES.fullmatch(inside):
                    raise WeightsError(f'it holds {inside or name!r:.80}, of an older format or a pickle')
                if inside.endswith('.json') and not inside.startswith('extra/'):
                    faults = (fault_of_pair(*pair) for pair in pairs(json.loads(archive.read(name))))
                    if fault := next(filter(None, faults), ''):
                        raise WeightsError(f'its {inside} {fault}')
    except WeightsError as error:
        raise WeightsError(f'{path} was not loaded: {error}; nothing in it was run') from None
    except (ValueError, TypeError, RecursionError, zipfile.BadZipFile, KeyError, OSError) as error:
        raise WeightsError(f'{path} is damaged ({type(error).__name__}); write it again with tools/export.py') from None
