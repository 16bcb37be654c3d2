"""Registered classes are exported by their package, listed in the API pages and in files of their name."""
import importlib
import re
from pathlib import Path

import pytest
from mmengine.registry import Registry

from mmpartref import registry

DOCS = Path(__file__).parents[2] / 'docs/api'
PACKAGES = ('apis', 'datasets', 'engine', 'evaluation', 'gallery', 'models', 'structures', 'visualization')
# Files of other names, which say as much. A function is registered as Protocol.
OTHER_FILES = {'build_protocol_step': 'build_protocol', 'ReferringDataPreprocessor': 'data_preprocessor'}


def registered() -> list[type]:
    """Return all classes of this package in its registries."""
    for name in PACKAGES:
        importlib.import_module(f'mmpartref.{name}')
    importlib.import_module('mmpartref.datasets.transforms')
    found = [each for made in vars(registry).values() if isinstance(made, Registry) for each in
             made.module_dict.values()]
    return [each for each in found if each.__module__.startswith('mmpartref.')]


def exported(package: str) -> set[str]:
    return set(importlib.import_module(f'mmpartref.{package}').__all__)


def test_registered_classes_are_exported_by_their_package():
    names = set().union(*map(exported, (*PACKAGES, 'datasets.transforms')))
    classes = registered()
    assert len(classes) > 60
    missing = sorted(each.__module__ for each in classes if each.__name__ not in names)
    assert not missing, 'import these in the __init__.py of their package, and add them to its __all__'


def test_a_registered_class_is_in_a_file_of_its_name():
    wrong = {}
    for each in registered():
        file = each.__module__.rpartition('.')[2]
        if file != OTHER_FILES.get(each.__name__) and file.replace('_', '') != each.__name__.lower():
            wrong[each.__name__] = file
    assert not wrong


@pytest.mark.parametrize('package', PACKAGES)
def test_exported_names_are_listed_in_the_api_pages(package):
    listed = set(re.findall(r'^   (\w+)$', (DOCS / f'{package}.md').read_text(encoding='utf-8'), re.MULTILINE))
    assert exported(package) <= listed, f'list these in docs/api/{package}.md'


def test_losses_have_different_names():
    names = [each.name for each in registered() if '.losses.' in each.__module__ and hasattr(each, 'name')]
    assert len(names) >= 3
    assert len(set(names)) == len(names)
