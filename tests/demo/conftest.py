"""The browser."""
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_browser_fixture() -> ModuleType:
    """Load tests/browser_fixture.py, once for all folders that use it; ``tests`` is no package."""
    if 'browser_fixture' not in sys.modules:
        path = Path(__file__).parents[1] / 'browser_fixture.py'
        spec = importlib.util.spec_from_file_location('browser_fixture', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules['browser_fixture'] = module
    return sys.modules['browser_fixture']


_module = load_browser_fixture()
globals().update({name: getattr(_module, name) for name in _module.FIXTURES})
