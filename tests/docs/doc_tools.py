"""Parse or run the scripts of tools/ in this process."""
import argparse
import contextlib
import importlib.util
import io
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

ROOT = Path(__file__).parents[2]


class CheckError(Exception):
    """A command or code block that is wrong; the message is the reason."""


@contextlib.contextmanager
def at(folder: Path, variables: dict[str, str] | None = None) -> Iterator[None]:
    """Change the working directory and the environment variables."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with mock.patch.dict(os.environ, variables or {}):
            yield
    finally:
        os.chdir(before)


def captured(call: Callable[[], Any]) -> tuple[int, str, Any]:
    """Call a function that may exit; return its exit status, its output and its return value."""
    output = io.StringIO()
    status, value = 0, None
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            value = call()
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
            if isinstance(error.code, str):
                print(error.code)
    return status, output.getvalue(), value


def parse(tool: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line with the tool's own parser.

    Raises:
        CheckError: with the message of the parser.
    """
    path = ROOT / 'tools' / f'{tool}.py'
    spec = importlib.util.spec_from_file_location(f'documented_{tool}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with mock.patch.object(sys, 'argv', [path.name, *arguments]), mock.patch.dict(os.environ):
        status, output, args = captured(module.parse_args)
    if status:
        raise CheckError(output.strip().splitlines()[-1])
    return args


def clear_global_instances() -> None:
    """Clear mmengine's loggers and message hubs, which have the start time in seconds as name."""
    for manager in (MMLogger, MessageHub, Visualizer, DefaultScope):
        manager._instance_dict.clear()


def run_file(path: Path, arguments: Sequence[str], good: Sequence[int] = (0, )) -> str:
    """Run a program as ``python path arguments``; return what it prints.

    Raises:
        CheckError: it fails, with the last lines of its output.
    """
    clear_global_instances()

    def run() -> None:
        # yapf, which lays the config out for the log, would take longer than the rest of a small run.
        with (mock.patch.object(sys, 'argv', [str(path), *arguments]),
              mock.patch('mmengine.config.config.FormatCode', lambda text, **_: (text, True))):
            runpy.run_path(str(path), run_name='__main__')

    status, output, _ = captured(run)
    if status not in good:
        last = ' / '.join(output.strip().splitlines()[-3:])
        raise CheckError(f'{path.name} ends with {status}: {last}')
    return output
