"""How a fuzzing test tries one input, and what counts as a good answer to a bad one."""
import json
import signal
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmpartref

PACKAGE = Path(mmpartref.__file__).parent
# Seconds after which an input is said to hang the program.
PATIENCE = 60


class Tally:
    """Counts what was tried, by what came of it."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    @property
    def tried(self) -> int:
        return sum(self.outcomes.values())

    def attempt(self, action: Callable[[], Any], names: str = '', *, record: bool = False,
                kinds: tuple[type[Exception], ...] = (ValueError, FileNotFoundError)) -> Any:
        """Return what an action returns, None where it refuses as it should.

        Args:
            action: reads one bad input.
            names: the file that a refusal has to name.
            record: a refusal has to name a record too, or say that it is about the file as a whole.
            kinds: what a refusal may be; a library's own subclass of them (UnicodeError, JSONDecodeError) may not.
        """
        def give_up(*_: object) -> None:
            raise AssertionError(f'no answer after {PATIENCE} seconds')

        before = signal.signal(signal.SIGALRM, give_up)
        signal.alarm(PATIENCE)
        try:
            found = action()
        except kinds as error:
            self.outcomes['refused'] += 1
            self.check(error, names, record)
            return None
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        self.outcomes['accepted'] += 1
        return found

    @staticmethod
    def check(error: Exception, names: str, record: bool) -> None:
        """Hold a refusal against the contract."""
        message = str(error)
        own = type(error).__module__.startswith('mmpartref')
        assert own or type(error) in (ValueError, TypeError, FileNotFoundError), repr(error)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        assert Path(frame.filename).is_relative_to(PACKAGE), f'{frame}: {error!r}'
        assert (frame.line or '').lstrip().startswith('raise '), f'not a raise of its own: {frame}'
        assert message.isprintable(), f'not one line of readable text: {message!r}'
        assert 15 < len(message) < 1200, f'{len(message)} characters: {message[:300]}'
        assert names in message, f'{names} is not named: {message}'
        if record:
            about = ('image ', 'images[', 'annotation', 'categor', 'referring', 'info.source', 'json', 'no list',
                     'holds', 'is left', 'has a record')
            rest = message.replace(names, '', 1)
            assert any(word in rest for word in about), f'no record is named: {message}'


def write(path: Path, document: Any) -> str:
    """Write a json, NaN and lone surrogates included; returns its path."""
    path.write_text(json.dumps(document), encoding='utf-8')
    return str(path)
