"""Fixture of the tests of interrupted and resumed runs; ``tests`` is not a package."""
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.config import Config


@pytest.fixture(scope='module')
def toy() -> Iterator[ModuleType]:
    """The toy run in resumable_toy.py, on one thread, as its forked processes are."""
    path = Path(__file__).with_name('resumable_toy.py')
    spec = importlib.util.spec_from_file_location('resumable_toy', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules['resumable_toy'] = module
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        # Formatting the config for each checkpoint takes longer than the training.
        patch.setattr(Config, 'pretty_text', 'toy = True')
        yield module
    torch.set_num_threads(threads)
