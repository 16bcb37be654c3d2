"""Packages that only some configs need."""
import importlib
from types import ModuleType

from mmpartref.errors import MissingPackageError

# The extra of this project that brings it, by the name that is imported.
EXTRAS = {'timm': 'timm', 'open_clip': 'open_clip', 'peft': 'lora', 'transformers': 'siglip', 'tokenizers': 'siglip',
          'sentencepiece': 'siglip', 'huggingface_hub': 'siglip'}


def import_package(name: str, wanted_by: str) -> ModuleType:
    """Import a package that is no requirement of this project.

    Args:
        name: what is imported, one of ``EXTRAS``.
        wanted_by: who needs it, for the message.

    Raises:
        ImportError: it, or something that it needs itself, is missing; the message says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition('.')[0]
        behind = '' if missing == name else f', which needs {missing}'
        first = '' if missing == name else f'install the {missing} that fits this torch {_torch_version()}, then '
        raise MissingPackageError(
            f'{wanted_by} needs the package {name}{behind}, and {missing} is not installed or does not load here '
            f"({error}): {first}pip install 'mmpartref[{EXTRAS[name]}]'", name=missing) from error


def _torch_version() -> str:
    import torch
    return torch.__version__
