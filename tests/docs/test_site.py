"""The documentation builds as a site without warnings, and loads nothing from other hosts."""
import ast
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / 'docs'
PACKAGES = ('apis', 'datasets', 'engine', 'evaluation', 'gallery', 'models', 'structures', 'visualization')
# Attributes by which a page loads something, as opposed to links that a reader may follow.
LOADED = {'script': ('src', ), 'link': ('href', ), 'img': ('src', 'srcset'), 'iframe': ('src', ),
          'source': ('src', 'srcset'), 'object': ('data', ), 'use': ('href', )}


class Assets(HTMLParser):
    """What a page loads, and the ids it defines."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding='utf-8'))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loaded += [values[name] or '' for name in LOADED.get(tag, ()) if name in values]
        self.ids.add(values.get('id') or '')


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a warning is an error."""
    out = tmp_path_factory.mktemp('site')
    # Of an earlier build: the page of a class that has another name now would be in no toctree.
    shutil.rmtree(DOCS / 'api/generated', ignore_errors=True)
    # The tutorial is run by test_tutorial.py.
    command = [sys.executable, '-m', 'sphinx', '-E', '-W', '--keep-going', '-q', '-D', 'nb_execution_mode=off', '-d',
               str(out / 'doctrees'), 'docs', str(out / 'html')]
    done = subprocess.run(command, cwd=CHECKOUT, env={**os.environ, 'PYTHONPATH': str(CHECKOUT)}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / 'html'


def test_every_page_is_built(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix('') for page in DOCS.rglob('*.md') if '_build' not in page.parts}
    built = {page.relative_to(site).with_suffix('') for page in site.rglob('*.html')}
    assert pages <= built
    # A page in no toctree is a warning, hence an error, unless it is marked.
    assert not [page for page in DOCS.rglob('*.md') if 'orphan' in page.read_text(encoding='utf-8')[:200]]


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob('*.html'):
        for address in Assets(page).loaded:
            assert not re.match(r'(\w+:)?//', address), f'{page.name} loads {address}'
            file = address.split('?')[0].split('#')[0]
            assert not file or file.startswith('data:') or (page.parent / file).exists(), f'{page.name}: {address}'
    for sheet in site.rglob('*.css'):
        assert not re.search(r'(@import|url\()\s*["\']?(\w+:)?//', sheet.read_text(encoding='utf-8')), sheet.name


@pytest.mark.parametrize('package', PACKAGES)
def test_public_names_are_documented(site: Path, package: str) -> None:
    source = (CHECKOUT / 'mmpartref' / package / '__init__.py').read_text(encoding='utf-8')
    names = next(ast.literal_eval(node.value) for node in ast.parse(source).body
                 if isinstance(node, ast.Assign) and node.targets[0].id == '__all__')
    assert names
    table = (site / 'api' / f'{package}.html').read_text(encoding='utf-8')
    for name in names:
        page = f'generated/mmpartref.{package}.{name}.html'
        assert f'href="{page}' in table, f'docs/api/{package}.md does not list {name}'
        assert f'mmpartref.{package}.{name}' in Assets(site / 'api' / page).ids


def test_formulae_are_mathml(site: Path) -> None:
    page = (site / 'metrics.html').read_text(encoding='utf-8')
    assert page.count('<math ') >= 10
    assert '\\mathrm' not in page


def test_arguments_are_read_from_docstrings(site: Path) -> None:
    page = (site / 'api/generated/mmpartref.apis.PartReferInferencer.html').read_text(encoding='utf-8')
    assert re.search(r'<strong>max_pixels</strong>', page)

