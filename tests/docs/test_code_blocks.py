"""Every code block of the README and the documentation is carried out, or checked where doc_rules.py says why."""
from pathlib import Path

import pytest
from doc_commands import PROGRAMS, Page
from doc_pages import Block, read_blocks
from doc_shell import run_page
from doc_tools import ROOT
from doc_world import make_world

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp('world'))


def carry_out(name: str, blocks: list[Block], world: Path, tmp_path: Path) -> list[str]:
    """Carry a page out in a folder of its own; return what is wrong with it."""
    page = Page(name, blocks, world, tmp_path / 'here')
    scratch = tmp_path / 'shell'
    scratch.mkdir()
    said = run_page(blocks, page.world, PROGRAMS, scratch, page.answer)
    return page.failures + [f'{name}: {line}' for line in said.splitlines()]


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page(path: Path, world: Path, tmp_path: Path) -> None:
    failures = carry_out(path.relative_to(ROOT).as_posix(), read_blocks(path), world, tmp_path)
    assert not failures, '\n'.join(failures)
