"""Wheels of the checkout and virtual environments to install them into."""
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PIP_INSTALL = ('-m', 'pip', 'install', '--no-deps', '--no-build-isolation', '--ignore-installed')


def run(command: Sequence[str | Path], cwd: Path, check: bool = True) -> str:
    """Run a command offline, without ``PYTHONPATH``; return what it wrote to both streams."""
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    env |= {'PIP_NO_INDEX': '1', 'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PYTHONWARNINGS': 'ignore'}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0 or not check, done.stdout
    return done.stdout


def build_wheel(source: Path, out_dir: Path) -> Path:
    run([sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '-w', out_dir, source], out_dir)
    return next(out_dir.glob('mmpartref-*.whl'))


def members(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


class Environment:
    """A virtual environment that also finds the packages of the present one."""

    def __init__(self, root: Path) -> None:
        venv.create(root, symlinks=True)
        self.python = root / 'bin' / 'python'
        self.packages = next(root.glob('lib/python*/site-packages'))
        behind = [path for path in sys.path if path.endswith(('site-packages', 'dist-packages'))]
        (self.packages / 'behind.pth').write_text('\n'.join(behind))
        self.empty = root / 'empty'
        self.empty.mkdir()

    def run(self, *arguments: str | Path, check: bool = True, cwd: Path | None = None) -> str:
        """Run its Python, by default in an empty folder."""
        return run([self.python, *arguments], cwd or self.empty, check)

    def contents(self) -> set[str]:
        return {path.name for path in self.packages.iterdir()} - {'__pycache__'}
