"""The wheel of the checkout and an environment that has it."""
import shutil
from importlib import metadata
from pathlib import Path

import pytest
from environments import CHECKOUT, PIP_INSTALL, Environment, build_wheel

FOLDERS = ('configs', 'docs', 'mmpartref', 'tests', 'tools')


@pytest.fixture(scope='session')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, because a build writes into its source, with the leftover of an earlier build in it."""
    root = tmp_path_factory.mktemp('checkout')
    for path in CHECKOUT.iterdir():
        if path.is_file():
            shutil.copy(path, root)
    for name in FOLDERS:
        if (CHECKOUT / name).exists():
            shutil.copytree(CHECKOUT / name, root / name, symlinks=True, ignore=shutil.ignore_patterns('__pycache__'))
    leftover = root / 'build' / 'lib' / 'mmpartref' / '.mim' / 'configs' / 'deleted_since.py'
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    return root


@pytest.fixture(scope='session')
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(source, tmp_path_factory.mktemp('wheel'))


@pytest.fixture(scope='session')
def from_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp('from_wheel'))
    environment.run(*PIP_INSTALL, wheel)
    return environment


@pytest.fixture(scope='session')
def openmim() -> None:
    installed = {each.name for each in metadata.distributions()}
    if not installed & {'openmim', 'onedl-mim'}:
        pytest.fail("openmim is not installed, so `mim train mmpartref` cannot be tested: pip install -e '.[mim]'")
