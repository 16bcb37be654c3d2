"""What of a log is shown in the terminal, and what is in the log file only."""
import logging
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from mmpartref.run_log import (
    DETAILS,
    IN_TABLE,
    MAX_EARLY,
    SPEED_WARNING,
    EarlyLines,
    continue_in,
    log_detail,
    prints_as_details,
    run_log,
    show_errors_only,
)


@pytest.fixture
def new_logger(request: pytest.FixtureRequest) -> Callable[..., MMLogger]:
    """Make another current logger, which prints to the present stdout."""
    numbers = count()
    return lambda **options: MMLogger.get_instance(f'{request.node.name}_{next(numbers)}', **options)


def in_file(path: Path) -> str:
    return path.read_text(encoding='utf-8')


def test_details_are_in_the_file_only_and_lines_before_it_in_both(new_logger, tmp_path, capsys):
    logger, file = new_logger(), tmp_path / 'run.log'
    with run_log():
        logger.info('before the file')
        logger.debug('too small')
        log_detail('detail before the file')
        run = new_logger(log_file=str(file), log_level='INFO')
        continue_in(run, logger)
        for number, beginning in enumerate(DETAILS):
            run.info(f'{beginning} {number}')
        log_detail('the dataset')
        run.info('a line')
        run.warning('Config:\nbut a warning')
        with prints_as_details():
            print('a library')
    log_detail('after the run')
    shown, written = capsys.readouterr().out, in_file(file)
    assert [line.rpartition(' - ')[2] for line in shown.splitlines() if line] == [
        'before the file', 'a line', 'Config:', 'but a warning', 'after the run']
    for text in ('before the file', 'detail before the file', 'the dataset', 'a line', 'a library', 'after the run',
                 *(f'{beginning} {number}' for number, beginning in enumerate(DETAILS))):
        assert written.count(text.strip()) >= 1, text
    assert 'too small' not in written
    assert written.index('before the file') < written.index('the dataset')
    assert not any(isinstance(each, EarlyLines) for each in logger.handlers)


def test_nothing_is_hidden_outside_of_a_tool_and_at_level_debug(new_logger, capsys):
    logger = new_logger()
    continue_in(new_logger(), logger)
    log_detail('of a notebook')
    with run_log():
        run = new_logger(log_level='DEBUG')
        continue_in(run, logger)
        log_detail('of a run at level DEBUG')
    shown = capsys.readouterr().out
    assert 'of a notebook' in shown
    assert 'of a run at level DEBUG' in shown


def test_warnings_are_lines_of_the_log(new_logger, tmp_path, capsys):
    logger, file = new_logger(), tmp_path / 'run.log'
    before = warnings.showwarning
    with run_log():
        warnings.simplefilter('always')
        run = new_logger(log_file=str(file))
        continue_in(run, logger)
        for text, kind in (('in two\nlines', UserWarning), ('of a function', FutureWarning),
                           (f'{SPEED_WARNING}. This', UserWarning)):
            warnings.warn(text, kind, stacklevel=1)
    assert warnings.showwarning is before
    shown = capsys.readouterr()
    assert shown.err == ''
    assert shown.out.count('\n') == 1
    assert 'UserWarning: in two lines (' in shown.out
    assert 'test_run_log.py:' in shown.out
    for text in ('UserWarning: in two lines', 'FutureWarning: of a function', SPEED_WARNING):
        assert text in in_file(file)


def test_the_line_of_metrics_has_no_metric_twice(new_logger, tmp_path, capsys):
    logger, file = new_logger(), tmp_path / 'run.log'
    line = ('Epoch(val) [1][2/2]    refer/mIoU: 0.1000  refer/P@0.5: 0.2000  refer/P@0.5:0.95: 0.3000  '
            'refer/mIoU_part: 0.4000  other/mIoU_part: 0.5000  time: 1.0')
    with run_log():
        run = new_logger(log_file=str(file))
        continue_in(run, logger)
        run.info(line)
        run.info('a message about refer/mIoU_part: 0.4000')
    shown = capsys.readouterr().out
    assert 'refer/mIoU: 0.1000  refer/P@0.5: 0.2000  other/mIoU_part: 0.5000  time: 1.0\n' in shown
    assert 'a message about refer/mIoU_part: 0.4000' in shown
    assert line in in_file(file)
    assert not IN_TABLE.search('myrefer/mIoU_part: 1')


def test_other_processes_show_errors(new_logger, capsys):
    logger = new_logger()
    show_errors_only()
    logger.warning('a warning')
    logger.error('an error')
    shown = capsys.readouterr().out
    assert 'a warning' not in shown
    assert 'an error' in shown


def test_the_memory_is_not_written_when_it_is_full():
    early, target = EarlyLines(), logging.StreamHandler()
    for number in range(MAX_EARLY + 1):
        early.handle(logging.makeLogRecord({'msg': str(number), 'levelno': logging.INFO}))
    assert len(early.buffer) == MAX_EARLY + 1
    target.setLevel(logging.ERROR)
    early.write_to(target)
    assert early.buffer == []
