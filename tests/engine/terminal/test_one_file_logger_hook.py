"""One process writes the metrics of a test."""
import pytest
from mmengine.hooks import LoggerHook

from mmpartref.engine.terminal.one_file_logger_hook import OneFileLoggerHook


def count_writes():
    """On one rank: how often mmengine's hook is reached."""
    writes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoggerHook, 'after_test_epoch', lambda *args, **kwargs: writes.append(args))
        OneFileLoggerHook().after_test_epoch(None)
    return len(writes)


def test_the_main_process_alone_writes(on_ranks, tmp_path):
    assert on_ranks(tmp_path, count_writes) == [1, 0]
