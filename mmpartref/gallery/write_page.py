"""Writing of a gallery's pages, and of its data as scripts, because a page opened from disk cannot fetch JSON."""
import json
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

STYLE = 'gallery.css'
# In loading order.
SCRIPTS = ('store.js', 'masks.js', 'panels.js', 'modes.js', 'address.js', 'list.js', 'charts.js', 'detail.js',
           'image_view.js', 'start.js')


def as_script(name: str, content: Any) -> str:
    """Return a script that passes ``content`` to the page under a name.

    It is ASCII without ``<``, so that no text in the data can end the script inside HTML.
    """
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(',', ':'))
    # JSON has '<' in strings only.
    text = text.replace('<', '\\u003c')
    return f'Gallery.receive({json.dumps(name)},{text});\n'


def write_data(folder: Path, name: str, content: Any) -> None:
    """Write ``content`` to ``data/NAME.js``, which the page loads by that name."""
    path = folder / 'data' / f'{name}.js'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_script(name, content), encoding='ascii')


def read_asset(name: str) -> str:
    """Return a file of the package's ``page`` folder."""
    return files(__package__).joinpath('page', name).read_text(encoding='utf-8')


def write_assets(folder: Path) -> None:
    """Write style and scripts."""
    (folder / 'assets').mkdir()
    for name in (STYLE, *SCRIPTS):
        (folder / 'assets' / name).write_text(read_asset(name), encoding='utf-8')


def write_page(folder: Path, file: str, title: str, data: str) -> None:
    """Write an HTML page to ``folder/file`` that shows ``data/<data>.js``."""
    scripts = '\n'.join(f'<script src="assets/{name}" defer></script>' for name in SCRIPTS)
    page = Template(read_asset('page.html')).substitute(title=escape(title), style=f'assets/{STYLE}', scripts=scripts,
                                                        data=escape(data))
    (folder / file).write_text(page, encoding='utf-8')
