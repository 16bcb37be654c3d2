"""Documents with something wrong in them, how a fuzzing test tries one, and what a rejection has to look like."""
import copy
import json
import math
import signal
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import mmpartref

PACKAGE = Path(mmpartref.__file__).parent
# Seconds after which an input counts as hanging the program.
PATIENCE = 60


H, W = 6, 8
DOCUMENT: dict[str, Any] = {
    'info': {'source': 'hand-made'},
    'images': [{'id': 1, 'file_name': 'a.png', 'height': H, 'width': W, 'neg_category_ids': [7]},
               {'id': 2, 'file_name': 'cars\\b.png', 'height': H, 'width': W},
               {'id': '3', 'file_name': 'c.png', 'height': H, 'width': W}],
    'annotations': [
        {'id': 11, 'image_id': 1, 'category_id': 5, 'segmentation': [[1, 1, 4, 1, 4, 4, 1, 4]], 'area': 9, 'iscrowd': 0,
         'bbox': [1, 1, 3, 3]},
        {'id': 12, 'image_id': 1, 'category_id': 6, 'segmentation': {'size': [H, W], 'counts': [3, 5, 40]}},
        {'id': 13, 'image_id': 2, 'category_id': 5, 'segmentation': {'size': [H, W], 'counts': '35X1'}, 'area': 5.0},
        {'id': 14, 'image_id': 2, 'category_id': 7, 'segmentation': {'size': [H, W], 'counts': [48]}, 'iscrowd': 1},
        {'id': 15, 'image_id': '3', 'category_id': 7, 'segmentation': [[0, 0, 2, 0, 2.5, 3], [1, 1]]}],
    'categories': [{'id': 5, 'name': 'Car Wheel', 'supercategory': 'Car'},
                   {'id': 6, 'name': 'Car Hood', 'supercategory': 'Car'},
                   {'id': 7, 'name': 'Bird Head', 'supercategory': 'Bird'}],
}
REFERRING = [{'id': 'r', 'image_id': 1, 'ann_ids': [11, 12], 'expressions': ['the front', 'wheel and hood']},
             {'id': 8, 'image_id': 2, 'ann_ids': [], 'expressions': ['a dog'], 'source': 'another'},
             {'id': 9, 'image_id': '3', 'ann_ids': [15], 'expressions': ['its head']}]
WITH_REFERRING = {**DOCUMENT, 'referring': REFERRING}
JUNK = [None, True, False, 0, -1, 1, 999, 0.5, 3.0, 1e308, math.nan, math.inf, -math.inf, 10**30, 2**63, -2**31, 32767,
        '', ' ', 'x', '1', '3', 'é', '\ud800', '\u200b', 'a\0b', '\n', '\u202eabc', '\\', '/', '..', 'A' * 5000, [], {},
        [[]], [None],
        [True], [1], ['a'], [-1, 3], {'id': 1}, [[1, 2, 3]], [[0, 0, 1, 1, 2, 2, 3]], [[math.nan] * 6], [[True] * 6],
        [['1'] * 6], [[10**400] * 6], [[0, 0, 79, 0, 79, 59]], {'size': [H, W], 'counts': [H * W]},
        {'size': [H, W], 'counts': [2**62] * 4 + [H * W]}, {'size': [H, W], 'counts': [0.5, H * W]},
        {'size': [H, W], 'counts': [[H * W]]}, {'size': [H, W], 'counts': [str(H * W)]},
        {'size': [H, W], 'counts': [True, H * W - 1]}, {'size': [H, W], 'counts': '???'},
        {'size': [W, H], 'counts': [H * W]}, {'size': None, 'counts': None}, {'size': [H, W], 'counts': {}}]


Place = tuple[str | int, ...]


def places(node: Any, here: Place = ()) -> list[Place]:
    """Return where there is something in a document, itself apart."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for key, value in inside for place in ((*here, key), *places(value, (*here, key)))]


def mutate(document: Any, place: Place, how: str, value: Any) -> None:
    """Change a document in one place, where it is still there."""
    *way, last = place
    try:
        for key in way:
            document = document[key]
        document[last]
    except (KeyError, IndexError, TypeError):
        return
    if not isinstance(document, (dict, list)):
        return
    if how == 'delete':
        del document[last]
    elif how == 'replace' or isinstance(document, dict):
        document[last] = value
    elif isinstance(document, list):
        document.append(copy.deepcopy(document[last]))


def scalars() -> st.SearchStrategy:
    return st.one_of(st.sampled_from(JUNK), st.integers(), st.floats(), st.text(max_size=8), st.booleans(),
                     st.recursive(st.none() | st.integers(-9, 99) | st.floats() | st.text(max_size=3),
                                  lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                                      st.sampled_from(['size', 'counts', 'id', 'x']), inner, max_size=3), max_leaves=6))


def mutations(document: dict) -> st.SearchStrategy:
    ways = st.sampled_from(['delete', 'replace', 'replace', 'twice'])
    one = st.tuples(st.sampled_from(places(document)), ways, scalars())
    return st.lists(one, min_size=1, max_size=2)


class Tally:
    """Counts what was tried, by what came of it."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    @property
    def tried(self) -> int:
        return sum(self.outcomes.values())

    def attempt(self, action: Callable[[], Any], names: str = '', *, record: bool = False,
                kinds: tuple[type[Exception], ...] = (ValueError, FileNotFoundError)) -> Any:
        """Return what an action returns, None where it raises as it should.

        Args:
            action: reads one bad input.
            names: the file that an error has to name.
            record: an error has to name a record too, or be about the file as a whole.
            kinds: types of allowed errors; a library's subclass of them (UnicodeError, JSONDecodeError) is not allowed.
        """
        def give_up(*_: object) -> None:
            raise AssertionError(f'no result after {PATIENCE} seconds')

        before = signal.signal(signal.SIGALRM, give_up)
        signal.alarm(PATIENCE)
        try:
            found = action()
        except kinds as error:
            self.outcomes['rejected'] += 1
            self.check(error, names, record)
            return None
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        self.outcomes['accepted'] += 1
        return found

    @staticmethod
    def check(error: Exception, names: str, record: bool) -> None:
        """Check an error against the contract."""
        message = str(error)
        ours = type(error).__module__.startswith('mmpartref')
        assert ours or type(error) in (ValueError, TypeError, FileNotFoundError), repr(error)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        assert Path(frame.filename).is_relative_to(PACKAGE), f'{frame}: {error!r}'
        assert (frame.line or '').lstrip().startswith('raise '), f'not raised on purpose: {frame}'
        assert message.isprintable(), f'not one line of readable text: {message!r}'
        assert 15 < len(message) < 1200, f'{len(message)} characters: {message[:300]}'
        assert names in message, f'{names} is not named: {message}'
        if record:
            about = ('image ', 'images[', 'annotation', 'categor', 'referring', 'info.source', 'json', 'no list',
                     'holds', 'is left', 'has a record', 'nested too deeply')
            rest = message.replace(names, '', 1)
            assert any(word in rest for word in about), f'no record is named: {message}'


def write(path: Path, document: Any) -> str:
    """Write a json, NaN and lone surrogates included; returns its path."""
    path.write_text(json.dumps(document), encoding='utf-8')
    return str(path)
