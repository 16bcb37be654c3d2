"""Packages that only some configs need."""
import importlib
from types import ModuleType

# What pip is asked for, by the name that is imported.
PIP_NAMES = {'open_clip': 'open_clip_torch'}


def import_package(name: str, wanted_by: str) -> ModuleType:
    """Import a package that is no requirement of this project.

    Args:
        name: what is imported, e.g. ``'timm'``.
        wanted_by: who needs it, for the message.

    Raises:
        ImportError: it, or something that it needs itself, is missing; the message says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition('.')[0]
        package = PIP_NAMES.get(name, name)
        behind = '' if missing == name else f', which needs {missing}'
        remedy = f'pip install {package}' if missing == name else (
            f'install the {missing} that fits this torch {_torch_version()}, then pip install {package}')
        raise ImportError(f'{wanted_by} needs the package {package}{behind}, and {missing} is not installed or does '
                          f'not load here ({error}): {remedy}', name=missing) from error


def _torch_version() -> str:
    import torch
    return torch.__version__
