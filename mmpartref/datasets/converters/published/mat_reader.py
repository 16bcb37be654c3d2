"""Reader of .mat files, which a damaged file cannot crash."""
import base64
import importlib
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mmpartref.errors import InputError, MissingPackageError
from mmpartref.files.plain_file import open_plain_file
from mmpartref.text import shown, shown_name

WORKER = Path(__file__).with_name('mat_worker.py')
# Seconds for one file.
TIMEOUT = 60.0


class MatReader:
    """Reads .mat files with SciPy in another process, since SciPy's reader crashes on some damaged files.

    A context manager: the process starts with the first file, and again after one that ended it, and ends with the
    context.

    Raises:
        MissingPackageError: SciPy cannot be imported.
    """

    def __init__(self) -> None:
        try:
            importlib.import_module('scipy.io')
        except ImportError as error:
            raise MissingPackageError(f'PASCAL-Part is read with SciPy, which cannot be imported ({error}); pip '
                                      'install scipy, or this package with its extra pascal') from None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> 'MatReader':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop()

    def read(self, path: Path) -> Any:
        """Return the variables of a file by name, structs as dicts.

        Raises:
            InputError: the file is damaged or not a .mat.
            MMPartRefError: see ``open_plain_file``.
        """
        name = shown_name(str(path))
        with open_plain_file(path, name):
            pass
        content, reason = self._ask(path)
        if reason:
            raise InputError(f'{name} is not a complete .mat ({shown(reason)[1:-1]}); unpack it again')
        return content

    def _ask(self, path: Path) -> tuple[Any, str]:
        first = b''
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env={**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'})
            first = json.dumps(sys.path).encode() + b'\n'
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(TIMEOUT, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(first + json.dumps(os.path.abspath(path)).encode() + b'\n')
            self._process.stdin.flush()
            content, reason = json.loads(self._process.stdout.readline(), object_hook=_decode)
            return content, reason
        except Exception:  # the process has ended without a whole line
            return None, f'the process that reads it ends with code {self._stop()} or takes over {TIMEOUT:.0f} seconds'
        finally:
            timer.cancel()

    def _stop(self) -> int:
        """End the process, if there is one; returns its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.kill()
        with suppress(BrokenPipeError), process:  # closes the pipes
            pass
        return process.returncode


def _decode(value: dict[str, Any]) -> Any:
    """Return an array of ``mat_worker.encode``, and any other dict as it is."""
    if value.keys() != {'dtype', 'shape', 'data'}:
        return value
    return np.frombuffer(base64.b64decode(value['data']), value['dtype']).reshape(value['shape'])
