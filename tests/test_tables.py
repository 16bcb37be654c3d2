import csv
import io

import pytest

from mmpartref.tables import TABLE_FORMATS, Column, Estimate, Table, to_csv, to_latex, to_markdown, to_text

TABLE = Table('A & B', [Column('name'), Column('mIoU', percent=True, interval=True), Column('n'), Column('s', 4)],
              [['a|b_c', Estimate(0.5, 0.25, 0.75), 3, 0.12349], ['~', Estimate(1, 1, 1), 4, None]], ['Note.'],
              ['decode aligned', ''], ['Metrics in percent.'])


def test_text_is_aligned():
    assert to_text(TABLE).splitlines() == [
        'A & B',
        '  name                      mIoU  n       s',
        '  a|b_c     50.00 [25.00, 75.00]  3  0.1235',
        '  ~      100.00 [100.00, 100.00]  4       -',
        '  Metrics in percent.', '  Note.', '  a|b_c: decode aligned']


def test_text_has_no_heading_line_without_headings():
    assert to_text(Table('', [Column(''), Column('', percent=True)], [['one', 0.5]])) == '  one  50.00'


@pytest.mark.parametrize('columns', ['20', '200'])
@pytest.mark.parametrize('terminal', [False, True])
def test_text_is_the_same_on_every_terminal(monkeypatch, columns, terminal):
    for name, value in {'COLUMNS': columns, 'FORCE_COLOR': '1', 'TERM': 'xterm-256color'}.items():
        if terminal:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    long = '[bold]' + 'x' * 500 + ' :smile: 日本'
    head, first, second = to_text(Table('', [Column('name'), Column('n'), Column('unit', left=True)],
                                        [[long, 1, 'px'], ['b', 22, 'm']])).splitlines()
    assert first == f'  {long}   1  px'
    # The last two characters are two cells wide.
    assert second == f"  b{' ' * (len(long) + 1)}  22  m"
    assert head.split() == ['name', 'n', 'unit']


def test_markdown_is_padded_and_escaped():
    assert to_markdown(TABLE).splitlines() == [
        '### A & B', '',
        '| name   |                    mIoU |   n |      s |',
        '| ------ | ----------------------: | --: | -----: |',
        '| a\\|b_c |    50.00 [25.00, 75.00] |   3 | 0.1235 |',
        '| ~      | 100.00 [100.00, 100.00] |   4 |      - |',
        '', '- Metrics in percent.', '- Note.', '- a|b_c: decode aligned']


def test_csv_has_fractions_and_separate_bounds():
    head, first, second = csv.reader(io.StringIO(to_csv(TABLE)))
    assert head == ['name', 'mIoU', 'mIoU_low', 'mIoU_high', 'n', 's', 'notes']
    assert first == ['a|b_c', '0.5', '0.25', '0.75', '3', '0.12349', 'Note. decode aligned']
    assert second[5] == '-'


def test_latex_is_escaped():
    text = to_latex(TABLE)
    assert r'\caption{A \& B}' in text
    assert r'a\textbar{}b\_c & 50.00 {[}25.00, 75.00] & 3' in text
    assert r'\textasciitilde{} &' in text
    assert text.count(r'\\') == 3


def test_every_format_renders_an_empty_table():
    for render in TABLE_FORMATS.values():
        assert 'name' in render(Table('', [Column('name')], []))
