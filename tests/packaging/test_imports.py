"""Imports point one way: each folder may use those before it, no folder is in a cycle, names are unique."""
import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
# Those of the first row may use one another.
GROUND = ('argument_checks', 'arguments', 'errors', 'files', 'images', 'masks', 'ordered_calls', 'progress', 'registry',
          'run_log', 'seeding', 'tables', 'text')
ORDER = (*GROUND, 'structures', 'visualization', 'datasets', 'doctor', 'models', 'evaluation', 'engine', 'utils',
         'apis', 'serving', 'gallery', 'demo', 'labelling', 'benchmark')
MODULES = {'.'.join(file.relative_to(CHECKOUT).with_suffix('').parts): file
           for file in sorted((CHECKOUT / 'mmpartref').rglob('*.py'))}
MAX_MODULES = 14


def imported(module: str) -> Iterator[str]:
    """Yield the modules of this package that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'mmpartref':
            for alias in node.names:
                name = f'{node.module}.{alias.name}'
                yield name if name in MODULES else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split('.')[0] == 'mmpartref')


def folder_of(module: str) -> str:
    return module.rpartition('.')[0] if module in MODULES else module


def edges() -> dict[tuple[str, str], list[str]]:
    """Return which folder imports from which, except between a folder and its subfolders, with the modules that do."""
    found = defaultdict(list)
    for module in MODULES:
        if module.endswith('.__init__'):
            continue
        for other in imported(module):
            here, there = folder_of(module), folder_of(other)
            if here != there and not f'{here}.'.startswith(f'{there}.') and not f'{there}.'.startswith(f'{here}.'):
                found[here, there].append(f'{module} -> {other}')
    return found


def test_no_folder_uses_one_behind_it():
    wrong = []
    for module in MODULES:
        for other in imported(module):
            here, there = (each.split('.')[1] for each in (module, other))
            if 'version' in (here, there) or here == there or {here, there} <= set(GROUND):
                continue
            if ORDER.index(there) > ORDER.index(here):
                wrong.append(f'{module} -> {other}')
    assert not wrong


def test_the_ground_floor_uses_nothing_else():
    wrong = [f'{module} -> {other}' for module in MODULES if module.split('.')[1] in GROUND
             for other in imported(module) if other.split('.')[1] not in GROUND]
    assert not wrong


def test_no_folders_and_no_files_lie_in_a_circle():
    graph = defaultdict(set)
    for here, there in edges():
        if here != 'mmpartref' and there != 'mmpartref':
            graph[here].add(there)
    files = defaultdict(set)
    for module in MODULES:
        if not module.endswith('.__init__'):
            files[module] |= {other for other in imported(module) if other in MODULES}
    for each in (graph, files):
        done: set[str] = set()
        for start in list(each):
            visit(start, each, (), done)


def visit(name: str, graph: dict[str, set[str]], above: tuple[str, ...], done: set[str]) -> None:
    assert name not in above, ' -> '.join((*above[above.index(name):], name))
    if name not in done:
        for other in sorted(graph[name]):
            visit(other, graph, (*above, name), done)
        done.add(name)


@pytest.mark.parametrize('folder', sorted({file.parent for file in MODULES.values()}),
                         ids=lambda folder: folder.relative_to(CHECKOUT).as_posix())
def test_a_folder_is_not_crowded(folder):
    assert len([file for file in folder.glob('*.py') if file.stem != '__init__']) <= MAX_MODULES


def test_no_two_modules_share_a_name():
    names = defaultdict(list)
    for module in MODULES:
        names[module.rpartition('.')[2]].append(module)
    assert {name: each for name, each in names.items() if len(each) > 1 and not name.startswith('__')} == {}
