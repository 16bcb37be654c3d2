"""Import of optional packages with a message that names the extra to install."""
import importlib
from types import ModuleType

import torch

from mmpartref.errors import MissingPackageError

# Name that is imported -> extra of this project that installs it.
EXTRAS = {'timm': 'timm', 'open_clip': 'open_clip', 'peft': 'lora', 'transformers': 'siglip', 'tokenizers': 'siglip',
          'sentencepiece': 'siglip', 'huggingface_hub': 'siglip'}


def import_package(name: str, wanted_by: str) -> ModuleType:
    """Import a package that is not a requirement of this project.

    Args:
        name: the package, one of ``EXTRAS``.
        wanted_by: the class or setting that needs it, for the message.

    Raises:
        ImportError: the package or one of its requirements is missing; the message names what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition('.')[0]
        behind = '' if missing == name else f', which needs {missing}'
        first = '' if missing == name else f'install the {missing} that fits this torch {torch.__version__}, then '
        raise MissingPackageError(
            f'{wanted_by} needs the package {name}{behind}, and {missing} is not installed or does not load here '
            f"({error}): {first}pip install 'mmpartref[{EXTRAS[name]}]'", name=missing) from error
