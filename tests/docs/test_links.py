"""Every link of the Markdown pages leads somewhere, on GitHub and on disk."""
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted([*CHECKOUT.glob('*.md'), *(CHECKOUT / 'docs').rglob('*.md')])
PAGES = [page for page in PAGES if '_build' not in page.parts]
PARSER = MarkdownIt('commonmark').enable('table')


def walk(tokens: list[Token]) -> list[Token]:
    """Return all tokens, those inside others too."""
    return [each for token in tokens for each in (token, *walk(token.children or []))]


@cache
def links(page: Path) -> list[str]:
    """Return where a page's links and pictures point."""
    tokens = walk(PARSER.parse(page.read_text(encoding='utf-8')))
    return [str(token.attrs[name]) for token in tokens for name in ('href', 'src') if name in token.attrs]


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    found: dict[str, int] = {}
    names = set()
    tokens = PARSER.parse(page.read_text(encoding='utf-8'))
    for before, inline in pairwise(tokens):
        if before.type == 'heading_open':
            text = ''.join(token.content for token in inline.children if token.type in ('text', 'code_inline'))
            slug = re.sub(r'[^\w\- ]', '', text.strip().lower()).replace(' ', '-')
            number = found.get(slug, 0)
            found[slug] = number + 1
            names.add(f'{slug}-{number}' if number else slug)
    return names


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == 'https', link
            assert re.fullmatch(r'([a-z0-9-]+\.)+[a-z]{2,}', parts.netloc), link
            continue
        assert not parts.netloc, link
        assert not parts.path.startswith('/'), link
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert target.exists(), link
        assert target.is_relative_to(CHECKOUT), link
        if parts.fragment:
            assert parts.fragment in anchors(target), f'{link}: {target.name} has {sorted(anchors(target))}'


def test_addresses_in_text_are_https() -> None:
    """Includes addresses that are not links; those of this machine may be http."""
    for page in PAGES:
        for address in re.findall(r'\bhttp://[^\s)>`]+', page.read_text(encoding='utf-8')):
            local = re.match(r'http://(127\.0\.0\.1|localhost|host\.docker\.internal)\b', address)
            assert local, f'{page.name}: {address}'


def test_readme_names_every_page() -> None:
    """Of docs/, what the README does not link is linked by a page that it does."""
    named, waiting = set(), [CHECKOUT / 'README.md']
    while waiting:
        page = waiting.pop()
        for link in links(page):
            target = (page.parent / unquote(urlsplit(link).path)).resolve()
            if not urlsplit(link).scheme and target.suffix == '.md' and target not in named:
                named.add(target)
                waiting.append(target)
    pages = {page for page in (CHECKOUT / 'docs').glob('*.md') if page.name != 'index.md'}
    assert pages <= named
