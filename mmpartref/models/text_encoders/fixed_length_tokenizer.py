"""Base class of tokenizers whose token rows have a fixed length."""
import logging
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from mmengine.logging import print_log

from mmpartref.errors import InputError, InputTypeError
from mmpartref.text import shown

# Longer strings are cut before they are encoded: byte-pair encoding takes quadratic time on one long word (8 s for
# 20,000 letters). A token has at most 32 bytes, so 75 tokens end within this many characters.
MAX_CHARACTERS = 4096
# Strings whose rows are cached.
MAX_STRINGS = 65536
LONGER_ROWS = "raise the text encoder's word_length, or use fewer words"


class FixedLengthTokenizer:
    """Turn strings into token rows of length L; rows are cached by string.

    A string with more tokens is truncated. ``truncated`` returns the words that a row does not contain, and the first
    call with such a string logs a warning that names them.

    Args:
        length: L, special tokens included.
        special_tokens: names of the special tokens in every row; a row also has at least one token of a word.

    Attributes:
        start: ids of the special tokens in front of the words.
        end: id of the special token behind the words.
        pad: id of the tokens that fill the row.
        reported: truncated strings that a warning has named.

    Raises:
        ValueError: ``length`` leaves no space for a word.
    """
    start: tuple[int, ...] = ()
    end: int
    pad: int = 0

    def __init__(self, length: int, special_tokens: Sequence[str]) -> None:
        if length <= len(special_tokens):
            raise InputError(f'a row contains {", ".join(special_tokens)} and a word, so length must be at least '
                             f'{len(special_tokens) + 1}, got {length}')
        self.length = length
        self.max_tokens = length - len(special_tokens)
        self.reported: set[str] = set()
        self._tokenized = lru_cache(maxsize=MAX_STRINGS)(self._tokenize)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without the cache, which belongs to this object."""
        state = {name: value for name, value in self.__dict__.items() if name != '_tokenized'}
        return {**state, 'reported': set(self.reported)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._tokenized = lru_cache(maxsize=MAX_STRINGS)(self._tokenize)

    def _encode(self, text: str) -> list[int]:
        """Return the ids of all tokens of a text without special tokens."""
        raise NotImplementedError

    def _tokenize(self, text: str) -> tuple[list[int], str]:
        """Return the L token ids of a string, and the words that are not among them or only in part."""
        words = text.split()
        readable = ' '.join(words)
        tokens = self._encode(readable[:MAX_CHARACTERS])
        fits = len(tokens) <= self.max_tokens and len(readable) <= MAX_CHARACTERS
        row = [*self.start, *tokens[:self.max_tokens], self.end]
        return row + [self.pad] * (self.length - len(row)), '' if fits else ' '.join(words[self._count_fitting(words):])

    def _count_fitting(self, words: Sequence[str]) -> int:
        """Return how many of the first words of a truncated string are in its row as a whole."""
        def exceeds(count: int) -> bool:
            beginning = ' '.join(words[:count])
            return len(beginning) > MAX_CHARACTERS or len(self._encode(beginning)) > self.max_tokens

        return bisect_left(range(1, len(words)), True, key=exceeds)

    def truncated(self, text: str) -> str:
        """Return the last words of a string, of which its row contains nothing or a part; '' where all words fit."""
        return self._tokenized(text)[1]

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return token rows (len(texts), L) int64.

        Raises:
            TypeError: an expression is not a string.
        """
        for text in texts:
            if not isinstance(text, str):
                raise InputTypeError(f'an expression must be a string, got {type(text).__name__}: {shown(text)}')
        tokenized = [self._tokenized(text) for text in texts]
        for text, (_, cut) in zip(texts, tokenized, strict=True):
            if cut and text not in self.reported:
                self.report(text)
                print_log(f'{shown(text)} is longer than the {self.length} tokens of a row; the model does not see its '
                          f'last words {shown(cut)}: {LONGER_ROWS}', 'current', logging.WARNING)
        return torch.tensor([row for row, _ in tokenized], dtype=torch.int64).reshape(-1, self.length)

    def report(self, text: str) -> None:
        """Remember that a warning has named a truncated string."""
        if len(self.reported) >= MAX_STRINGS:
            self.reported.clear()
        self.reported.add(text)
