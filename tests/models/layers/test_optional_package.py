"""The message where a package is missing that only some configs need."""
import configparser
import re
import sys
from pathlib import Path

import pytest

from mmpartref.models.layers import optional_package
from mmpartref.models.layers.optional_package import EXTRAS, import_package
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
    assert message.endswith(f"pip install 'mmpartref[{EXTRAS[package]}]'")
    assert '\n' not in message
    assert caught.value.name == package


def test_a_missing_dependency_of_a_package_is_named(monkeypatch):
    def broken(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torchvision'", name='torchvision.ops')

    monkeypatch.setattr(optional_package.importlib, 'import_module', broken)
    with pytest.raises(ImportError, match=r'timm, which needs torchvision, and torchvision is not installed .*install '
                                          r'the torchvision that fits this torch .*, then pip .*mmpartref\[timm\]'):
        import_package('timm', 'TimmBackbone')


@pytest.mark.parametrize(('config', 'package'), [
    (dict(type='TimmBackbone', model_name='convnext_tiny'), 'timm'),
    (dict(type='OpenCLIPTextEncoder', model_name='ViT-B-32'), 'open_clip'),
    ({**VIT, 'lora': dict(r=2, target_modules=['in_proj'])}, 'peft'),
], ids=['timm', 'open_clip', 'lora'])
def test_a_config_names_the_package_it_needs(config, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs the package {package}, .*'mmpartref\[{EXTRAS[package]}\]'"):
        MODELS.build(config)
