"""Texts in letters that matplotlib's DejaVu Sans has, that a font of the system has, and that none has."""
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import features

from mmpartref.doctor.doctor_plots import draw_categories
from mmpartref.doctor.part_counts import PartCounts
from mmpartref.visualization import fonts
from mmpartref.visualization.fonts import DEJAVU, drawable, printable, set_fonts, split_by_font
from mmpartref.visualization.labels import draw_text, fit_text
from mmpartref.visualization.overlay import draw_overlay, side_by_side

DOG = '犬'


@pytest.fixture
def installed(monkeypatch) -> Callable[..., None]:
    """Replace the system's fonts."""
    def replace(*files: Path) -> None:
        fonts._system_font.cache_clear()
        monkeypatch.setattr(fonts, 'system_fonts', lambda: list(files))

    yield replace
    fonts._system_font.cache_clear()


@pytest.fixture
def square(tmp_path) -> Path:
    """A font with one letter, a square."""
    return write_font(tmp_path / 'Square.ttf', 800)


def write_font(path: Path, side: int) -> Path:
    pen = TTGlyphPen(None)
    if side:
        pen.moveTo((0, 0))
        for corner in ((0, side), (side, side), (side, 0)):
            pen.lineTo(corner)
        pen.closePath()
    font = FontBuilder(1000)
    font.setupGlyphOrder(['.notdef', 'dog'])
    font.setupCharacterMap({ord(DOG): 'dog'})
    font.setupGlyf({'.notdef': TTGlyphPen(None).glyph(), 'dog': pen.glyph()})
    font.setupHorizontalMetrics({'.notdef': (1000, 0), 'dog': (1000, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({'familyName': path.stem, 'styleName': 'Regular'})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return path


def overlay(label: str) -> np.ndarray:
    masks = np.zeros((2, 90, 160), dtype=bool)
    masks[:, 40:50, 70:80] = True
    return draw_overlay(np.zeros((90, 160, 3), np.uint8), masks, ['car', label], [0.5, 0.6022])


@pytest.mark.parametrize('text', ['Räder', 'голова', 'πόδι', 'רגל', 'رأس', 'cafe\u0301', 'نیم\u200cرخ', 'tail ☺\ufe0f'])
def test_many_scripts_need_no_font_of_the_system(installed, text):
    installed()
    assert drawable(text, '#1') == text
    assert split_by_font(printable(text)) == [(printable(text), DEJAVU)]
    assert not np.array_equal(overlay(text), overlay('?' * len(text)))


def test_letters_of_a_system_font_are_drawn_with_it_and_the_others_with_dejavu(installed, square):
    installed(square)
    assert split_by_font(f'a{DOG} 1') == [('a', DEJAVU), (DOG, square), (' 1', DEJAVU)]
    canvas = np.zeros((60, 200, 3), np.uint8)
    draw_text(canvas, fit_text(DOG, 30, 200)[0], 5, 50, 30)
    assert canvas[25:45, 10:30].min() == 255
    assert not np.array_equal(overlay(DOG), overlay('#1'))


def test_an_expression_that_no_font_has_is_its_number(installed, tmp_path):
    # A letter without an outline, as in fonts of coloured emoji, and a damaged file.
    (tmp_path / 'damaged.ttf').write_bytes(b'\0\1\0\0')
    installed(write_font(tmp_path / 'Blank.ttf', 0), tmp_path / 'damaged.ttf')
    assert np.array_equal(overlay(DOG), overlay('#1'))
    image, masks = np.zeros((60, 80, 3), np.uint8), np.ones((1, 60, 80), dtype=bool)
    assert np.array_equal(side_by_side(image, None, masks, [DOG]), side_by_side(image, None, masks, [
        '(no font has its letters)']))


def test_without_libraqm_no_letters_are_drawn_in_the_wrong_order(installed, monkeypatch):
    installed()
    monkeypatch.setattr(features, 'check', lambda name: False)
    texts = ['רגל', 'رأس', 'Räder', 'cafe\u0301']
    assert [drawable(text, '#1') for text in texts] == ['#1', '#1', *texts[2:]]


@pytest.mark.parametrize('place', [(-30, 20), (150, 95), (-1, -1), (90, 0)])
def test_text_is_cut_at_the_border(place):
    large, small = np.zeros((300, 600, 3), np.uint8), np.zeros((90, 160, 3), np.uint8)
    draw_text(large, 'gj (Wheel)', 200 + place[0], 100 + place[1], 20)
    draw_text(small, 'gj (Wheel)', *place, 20)
    assert np.array_equal(small, large[100:190, 200:360])


def test_a_plot_has_letters_of_a_system_font(installed, square):
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    counts = {'train': PartCounts(1, 1, categories=Counter({f'{DOG}': 3, 'car': 2}))}
    installed(square)
    draw_categories(axes, counts, [DOG, 'car'])
    set_fonts(figure)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure.canvas.draw()
    assert [label.get_text() for label in axes.get_yticklabels()] == [DOG, 'car']
    installed()
    draw_categories(axes, counts, [DOG, 'car'])
    assert [label.get_text() for label in axes.get_yticklabels()] == ['#1', 'car']
