import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmpartref import progress
from mmpartref.progress import track

ROOT = Path(__file__).parents[1]
LOOP = '''
import logging, sys
from mmengine.logging import MMLogger, print_log
from mmpartref.progress import track
MMLogger.get_current_instance().handlers[0].setFormatter(logging.Formatter('%(message)s'))
for number in track(range(3), 'images'):
    print(f'printed {number} ' + 'long ' * 30 + 'end')
    print_log(f'logged {number}', 'current')
    print(f'also {number}')
print('after')
'''
PRINTED = [line for number in range(3)
           for line in (f'printed {number} ' + 'long ' * 30 + 'end', f'logged {number}', f'also {number}')]


def on_a_terminal(command: str) -> list[str]:
    """Run ``LOOP`` on a terminal of 80 columns; return the lines that stay on it."""
    pty = pytest.importorskip('pty')
    ours, its = pty.openpty()
    environment = {**os.environ, 'TERM': 'xterm', 'COLUMNS': '80', 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1',
                   'LOOP': LOOP}
    with subprocess.Popen(command.format(sys.executable), shell=True, stdin=its, stdout=its, stderr=its,
                          env=environment):
        os.close(its)
        output = b''
        try:
            while read := os.read(ours, 65536):
                output += read
        except OSError:  # Linux's end of a terminal
            pass
    os.close(ours)
    # What is left of a line after the last return to its beginning, without colours.
    return [re.sub(r'\x1b\[[\d;?]*\w', '', line.rpartition('\r')[2]) for line in output.decode().split('\r\n')]



def test_items_are_yielded_and_a_log_file_gets_one_line(capsys):
    assert list(track([3, 4, 5], 'images')) == [3, 4, 5]
    shown = capsys.readouterr()
    assert shown.out == ''
    assert shown.err.count('\n') == 1
    assert 'images' in shown.err
    assert '3/3' in shown.err


def test_a_long_loop_has_lines_in_a_log_file(capsys, monkeypatch):
    clock = iter(range(0, 2000, 20))
    monkeypatch.setattr(progress.time, 'monotonic', lambda: float(next(clock)))
    assert list(track(range(5), 'images')) == [*range(5)]
    assert capsys.readouterr().err.splitlines() == [
        'images 2/5, 0:00:40, about 0:01:00 left', 'images 4/5, 0:01:20, about 0:00:20 left', 'images 5/5, 0:02:00']


def test_a_loop_that_ends_early_shows_where(capsys):
    def items():
        yield 1
        raise ValueError('no more')
    with pytest.raises(ValueError, match='no more'):
        list(track(items(), 'images', total=3))
    assert capsys.readouterr().err.startswith('images 1/3, ')


def test_an_iterator_gets_its_total(capsys):
    assert list(track((each for each in 'abc'), 'scenes', total=3)) == ['a', 'b', 'c']
    assert '3/3' in capsys.readouterr().err


def test_few_items_have_no_bar(capsys):
    assert list(track(['a'], 'images')) == ['a']
    assert list(track([1, 2], 'images', min_items=3)) == [1, 2]
    assert capsys.readouterr().err == ''


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='no pseudo-terminals')
@pytest.mark.parametrize('command', ['{} -c "$LOOP"', '{} -c "$LOOP" | cat'], ids=['terminal', 'pipe'])
def test_printed_and_logged_lines_do_not_run_into_the_bar(command):
    lines = [line for line in on_a_terminal(command) if line]
    bar = [line for line in lines if '3/3' in line]
    assert len(bar) == 1
    assert bar[0].startswith('images ')
    assert [line for line in lines if line not in bar] == [*PRINTED, 'after']


def test_a_closed_stdout_shows_no_traceback():
    code = "import sys; from mmpartref.progress import track; sys.exit(len(list(track([1, 2, 3], 'images'))))"
    done = subprocess.run(f'{sys.executable} -c "{code}" >&-', shell=True, cwd=ROOT, text=True, check=False,
                          stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr.count('Traceback')) == (3, 0)
