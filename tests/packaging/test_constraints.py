"""The constraints files of the documentation, and that neither they nor an error's command replace torch."""
import configparser
import re
import shlex
import zipfile
from pathlib import Path

import pytest
from environments import CHECKOUT, Environment
from packaging.requirements import Requirement

from mmpartref.models.layers import optional_package

FOLDER = CHECKOUT / 'docs' / 'constraints'
STACKS = ('classic', 'onedl')
DIST_INFO = 'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}'
TAGS = 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'


def read(name: str) -> dict[str, Requirement]:
    lines = (FOLDER / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith(('#', '--'))]
    return {each.name: each for each in found}


def version(requirement: Requirement) -> str:
    (pin, ) = requirement.specifier
    return pin.version


@pytest.mark.parametrize('name', STACKS)
def test_pins_fit_the_extras_and_cover_their_openmmlab_packages(name: str) -> None:
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / 'setup.cfg')
    lines = setup['options']['install_requires'].splitlines()
    lines += [line for text in setup['options.extras_require'].values() for line in text.splitlines()]
    required = [Requirement(line) for line in lines if line and not line.startswith('#')]
    pins = read(name)
    for each in required:
        if each.name in pins and each.name != 'setuptools':
            assert each.specifier.contains(version(pins[each.name])), each
    prefix = ('onedl-', ) if name == 'onedl' else ('mm', 'openmim', 'openxlab')
    assert {each.name for each in required if each.name.startswith(prefix)} <= set(pins)


def test_torch_is_the_tests_and_torchvision_fits_it() -> None:
    makefile = (CHECKOUT / 'Makefile').read_text(encoding='utf-8')
    torch = re.search(r'^TORCH \?= torch==(\S+)$', makefile, re.M)[1]
    minor, patch = torch.split('.')[1:]
    fitting = f'0.{int(minor) + 15}.{patch}'
    for name in STACKS:
        assert (version(read(name)['torch']), version(read(name)['torchvision'])) == (torch, fitting)
        for package in ('timm', 'open_clip_torch'):
            assert f' {package}=={version(read(name)[package])}' in makefile
    assert (version(read('cpu')['torch']), version(read('cpu')['torchvision'])) == (f'{torch}+cpu', f'{fitting}+cpu')


def make_dist(folder: Path, name: str, number: str, *requires: str, installed: bool = False) -> None:
    """Write an empty wheel, or the metadata of an installed package."""
    info = f'{name}-{number}.dist-info'
    files = {f'{info}/METADATA': DIST_INFO.format(name=name, version=number, requires=''.join(
        f'Requires-Dist: {each}\n' for each in requires)), f'{info}/WHEEL': TAGS, f'{info}/RECORD': ''}
    if installed:
        (folder / info).mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        return
    with zipfile.ZipFile(folder / f'{name}-{number}-py3-none-any.whl', 'w') as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)


@pytest.mark.e2e
@pytest.mark.parametrize('build', ['', '+cpu'])
def test_pip_keeps_torch(build: str, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a folder of empty wheels, the newest torchvision of which requires the newest torch, as on PyPI."""
    environment, links = Environment(tmp_path / 'env'), tmp_path / 'links'
    links.mkdir()
    make_dist(environment.packages, 'torch', f'2.13.0{build}', installed=True)
    for number, torch in (('0.28.0', '2.13.0'), ('0.29.0', '2.14.0')):
        make_dist(links, 'torchvision', number, f'torch=={torch}')
        make_dist(links, 'torch', torch)
    if build:
        make_dist(links, 'torchvision', f'0.28.0{build}', 'torch==2.13.0')
    make_dist(links, 'timm', '1.0.31', 'torchvision')
    monkeypatch.setattr(optional_package, 'torch_version', lambda: f'2.13.0{build}')

    def would_install(*arguments: str) -> set[str]:
        shown = environment.run('-m', 'pip', 'install', '--dry-run', '--find-links', str(links), *arguments)
        (line, ) = [line for line in shown.splitlines() if line.startswith('Would install')]
        return {each for each in line.split()[2:] if each.startswith(('torch', 'timm'))}

    wanted = f'{wheel}[timm]'
    kept = {'timm-1.0.31', f'torchvision-0.28.0{build}'}
    assert would_install(wanted) == {'timm-1.0.31', 'torchvision-0.29.0', 'torch-2.14.0'}
    command = shlex.split(optional_package.install_command('timm'))[2:]
    assert would_install(wanted, *command[1:]) == kept
    for name in STACKS:
        files = [FOLDER / f'{each}.txt' for each in (name, *(('cpu', ) if build else ()))]
        assert would_install(wanted, *(word for file in files for word in ('-c', str(file)))) == kept
