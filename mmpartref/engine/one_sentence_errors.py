"""Errors that end a program with one sentence instead of a traceback."""
import linecache
import multiprocessing
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmpartref.engine.atomic_checkpoint_hook import CheckpointWriteError
from mmpartref.engine.config_check import ConfigError, explain_build_error
from mmpartref.engine.non_finite_loss_hook import NonFiniteLossError
from mmpartref.engine.preemption_hook import PREEMPTED, PreemptedError
from mmpartref.engine.resumable_epoch_based_train_loop import DataWorkerError
from mmpartref.models.weights.key_report import WeightsError

PACKAGE = Path(__file__).parents[1]


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """End the program with the message alone where it says all there is to say: no traceback through mmengine.

    That is a missing file, and what this package refuses by a ``raise`` of its own, in a worker process of a dataloader
    too. Errors from elsewhere, and those that its code ran into, keep their traceback. A run that was told to stop
    ends with the code ``PREEMPTED``.
    """
    try:
        yield
    except PreemptedError as error:
        print(error, file=sys.stderr)
        raise SystemExit(PREEMPTED) from None
    except (ConfigError, WeightsError, NonFiniteLossError, CheckpointWriteError, DataWorkerError,
            FileNotFoundError) as error:
        raise SystemExit(worker_refusal(error) or str(error)) from None
    except (KeyError, TypeError, ValueError) as error:
        if is_refusal(error):
            raise SystemExit(str(error)) from None
        if not isinstance(error, ValueError) and (sentence := explain_build_error(error)):
            raise SystemExit(sentence) from None
        if sentence := worker_refusal(error):
            raise SystemExit(sentence) from None
        raise
    finally:
        # At the end of an interrupted run torch would wait 5 seconds for each of its loading processes.
        for process in multiprocessing.active_children():
            if process.daemon:
                process.terminate()


def is_refusal(error: BaseException) -> bool:
    """Say whether the error comes from a ``raise`` in this package."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return is_own_raise(frame.f_code.co_filename, line)


def is_own_raise(file: str, line: int) -> bool:
    """Say whether a line of a file is a ``raise`` in this package."""
    return Path(file).is_relative_to(PACKAGE) and linecache.getline(file, line).lstrip().startswith('raise ')


def worker_refusal(error: BaseException) -> str:
    """Return the sentence that this package raised in a worker process, '' where the error is another one.

    torch passes a worker's error on as one of the same type, whose message is the worker's traceback.
    """
    text = str(error)
    frames = list(re.finditer(r'^  File "(.+)", line (\d+), in .+$', text, re.MULTILINE))
    if not text.startswith('Caught ') or not frames or not is_own_raise(frames[-1][1], int(frames[-1][2])):
        return ''
    last = re.search(r'^[\w.]+: (.*)', text[frames[-1].end():], re.MULTILINE | re.DOTALL)
    return last[1].strip() if last else ''
