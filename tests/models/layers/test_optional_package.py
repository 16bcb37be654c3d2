"""The message where a package is missing that only some configs need."""
import configparser
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mmpartref.models.layers import optional_package
from mmpartref.models.layers.optional_package import EXTRAS, import_package, install_command, torch_version
from mmpartref.registry import MODELS

VIT = dict(type='CLIPVisionTransformer', patch_size=16, width=16, layers=1, num_heads=1, embed_channels=8,
           pretrain_grid=2)


def test_every_extra_brings_its_packages():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[3] / 'setup.cfg')
    extras = {name: re.findall(r'^[\w-]+', text, re.M) for name, text in setup['options.extras_require'].items()}
    for package in ('timm', 'sentencepiece', 'transformers', 'peft'):
        assert package in extras[EXTRAS[package]]
    assert 'open_clip_torch' in extras[EXTRAS['open_clip']]
    assert set(EXTRAS.values()) <= set(extras)


@pytest.mark.parametrize('package', EXTRAS)
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as caught:
        import_package(package, 'SomeEncoder')
    message = str(caught.value)
    assert message.startswith(f'SomeEncoder needs the package {package}, and {package} is not installed')
    assert message.endswith(f': {install_command(EXTRAS[package])}')
    assert '\n' not in message
    assert caught.value.name == package


@pytest.mark.parametrize(('error', 'message'), [
    (ModuleNotFoundError("No module named 'torchvision'", name='torchvision.ops'),
     r'timm, which needs torchvision, and torchvision is not installed .*: pip install .mmpartref\[timm\]. torch==2'),
    (RuntimeError('operator torchvision::nms does not exist'),
     r'torchvision here is of another build than torch 2.*: pip uninstall -y torchvision, then pip install .*torch==2'),
])
def test_torchvision_is_missing_or_of_another_build(error, message, monkeypatch):
    def broken(name: str) -> None:
        raise error

    monkeypatch.setattr(optional_package.importlib, 'import_module', broken)
    with pytest.raises(ImportError, match=message) as caught:
        import_package('timm', 'TimmBackbone')
    assert caught.value.name == 'torchvision'


def test_other_errors_of_a_package_stay_as_they_are(monkeypatch):
    def broken(name: str) -> None:
        raise RuntimeError('out of memory')

    monkeypatch.setattr(optional_package.importlib, 'import_module', broken)
    with pytest.raises(RuntimeError, match=r'^out of memory$'):
        import_package('timm', 'TimmBackbone')


@pytest.mark.parametrize(('extra', 'torch', 'packages'), [
    ('timm', '2.13.0', 'torch==2.13.0'),
    ('timm', '2.13.0+cpu', 'torch==2.13.0+cpu torchvision==0.28.0+cpu --extra-index-url {index}cpu'),
    ('open_clip', '2.7.1+cu126', 'torch==2.7.1+cu126 torchvision==0.22.1+cu126 --extra-index-url {index}cu126'),
    ('timm', '2.9.0a0+git1234', 'torch==2.9.0a0+git1234'),
    ('lora', '2.13.0+cpu', 'torch==2.13.0+cpu'),
])
def test_the_command_keeps_torch_and_names_its_torchvision(extra, torch, packages, monkeypatch):
    monkeypatch.setattr(optional_package, 'torch_version', lambda: torch)
    expected = packages.format(index='https://download.pytorch.org/whl/')
    assert install_command(extra) == f"pip install 'mmpartref[{extra}]' {expected}"


def test_the_version_of_torch_is_that_of_its_metadata():
    assert torch_version() == metadata.version('torch')


@pytest.mark.parametrize(('config', 'package'), [
    (dict(type='TimmBackbone', model_name='convnext_tiny'), 'timm'),
    (dict(type='OpenCLIPTextEncoder', model_name='ViT-B-32'), 'open_clip'),
    ({**VIT, 'lora': dict(r=2, target_modules=['in_proj'])}, 'peft'),
], ids=['timm', 'open_clip', 'lora'])
def test_a_config_names_the_package_it_needs(config, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs the package {package}, .*'mmpartref\[{EXTRAS[package]}\]' torch=="):
        MODELS.build(config)
