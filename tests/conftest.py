"""What several tests share: a CRIS small enough to train in a test, the browser, and no network."""
import copy
import gc
import importlib.util
import os
import runpy
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest
import torch


def load_helper(name: str) -> ModuleType:
    """Load a file of this folder; ``tests`` is not a package."""
    path = Path(__file__).with_name(f'{name}.py')
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_guard = load_helper('network_guard')
_guard.shut()
no_network = _guard.no_network
load_helper('rank_process')
for _module in map(load_helper, ('browser_fixture', 'ranks_fixture')):
    globals().update({name: getattr(_module, name) for name in _module.FIXTURES})

# A forked process must not collect what its parent left: a destructor may wait for a thread that only the parent has.
os.register_at_fork(before=gc.freeze, after_in_parent=gc.unfreeze)

# Before any test uses fake tensors: those register a CUDA device where there is none, and autograd's engine, if it
# starts after that, makes a thread for the device and then fails in forked processes.
torch.ones(1, requires_grad=True).sum().backward()

# The same examples in every run, on slow machines too; `make fuzz` looks for others.
hypothesis.settings.register_profile('mmpartref', derandomize=True, deadline=None, print_blob=True,
                                     suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile('mmpartref')

TOOLS = Path(__file__).parents[1] / 'tools'
TINY_MODEL = {
    'type': 'ReferringSegmentor',
    'backbone': {
        'type': 'CLIPResNet',
        'layers': (1, 1, 1, 1),
        'width': 8,
        'embed_channels': 24,
        'num_heads': 4,
        'pretrain_grid': 2
    },
    'text_encoder': {
        'type': 'CLIPTextEncoder',
        'width': 16,
        'layers': 2,
        'heads': 2,
        'embed_channels': 40
    },
    'neck': {
        'type': 'CRISNeck',
        'in_channels': (64, 128, 24),
        'sentence_channels': 40,
        'out_channels': (8, 16, 32)
    },
    'decode_head': {
        'type': 'VisionLanguageDecodeHead',
        'in_channels': 16,
        'word_channels': 16,
        'sentence_channels': 40,
        'num_layers': 2,
        'num_heads': 2,
        'feedforward_channels': 32,
        'dropout': 0.0,
        'loss': {
            'type': 'TextToPixelContrastiveLoss'
        }
    },
}


@pytest.fixture
def tiny_model_cfg() -> dict:
    """Config of a CRIS of tiny widths, every width different from its neighbours."""
    return copy.deepcopy(TINY_MODEL)


@pytest.fixture(scope='session')
def run_script() -> Callable[..., None]:
    """Run a script of tools/, given by its stem, with these arguments in this process."""
    def run(name: str, *arguments: object) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
            runpy.run_path(str(TOOLS / f'{name}.py'), run_name='__main__')
    return run


@pytest.fixture
def run_tool(run_script: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a script as ``run_script`` does and return what it prints on stdout."""
    def run(name: str, *arguments: object) -> str:
        capsys.readouterr()
        run_script(name, *arguments)
        return capsys.readouterr().out
    return run


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _quick_collections() -> Iterator[None]:
    """Keep what exists before the test out of garbage collections; mmengine starts one per dataset that it reads."""
    gc.freeze()
    yield
    gc.unfreeze()


def skip_as_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In continuous integration make a skip a failure, because it hides that a test has not run."""
    if report.skipped and not hasattr(report, 'wasxfail') and os.environ.get('CI', '').lower() == 'true':
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = 'failed', f'{reason}; with CI=true a skipped test is a failure'


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    skip_as_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    skip_as_failure(report)
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a CUDA device, deselect the tests marked ``gpu``."""
    if torch.cuda.is_available():
        return
    deselected = [item for item in items if item.get_closest_marker('gpu')]
    if deselected:
        items[:] = [item for item in items if not item.get_closest_marker('gpu')]
        config.hook.pytest_deselected(items=deselected)
