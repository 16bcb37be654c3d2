"""setuptools' build backend with two amendments that ``mim train mmpartref`` and rebuilt wheels need.

mim looks for ``.mim/tools`` in ``join(location of the metadata, first line of top_level.txt)``. The metadata of an
editable install are in site-packages, the package does not, so the editable wheel's ``top_level.txt`` names the
checkout's package by its absolute path first (which ``os.path.join`` then returns) and by its import name second.
"""
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from setuptools import build_meta  # type: ignore[import-untyped]
from setuptools.build_meta import (  # type: ignore[import-untyped]
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    'build_editable', 'build_sdist', 'build_wheel', 'get_requires_for_build_editable', 'get_requires_for_build_sdist',
    'get_requires_for_build_wheel', 'prepare_metadata_for_build_editable', 'prepare_metadata_for_build_wheel'
]

PACKAGE = 'mmpartref'
Settings = Mapping[str, Any] | None


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build the wheel from the sources alone.

    setuptools packs all of ``build/lib``, so a config deleted since an earlier build would still be in the wheel.
    """
    shutil.rmtree(Path('build', 'lib'), ignore_errors=True)
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    """Write the metadata of an editable install, ``top_level.txt`` amended."""
    name = build_meta.prepare_metadata_for_build_editable(metadata_directory, config_settings)
    top_level = Path(metadata_directory, name, 'top_level.txt')
    top_level.write_text(f'{Path(PACKAGE).resolve()}\n{top_level.read_text(encoding="utf-8")}', encoding='utf-8')
    return name


def build_editable(wheel_directory: str,
                   config_settings: Settings = None,
                   metadata_directory: str | None = None) -> str:
    """Build the editable wheel around the amended metadata.

    They are written anew, because setuptools looks for them one folder above where an installer puts them, does
    not find them there and writes its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepare_metadata_for_build_editable(folder, config_settings)
        return build_meta.build_editable(wheel_directory, config_settings, folder)
