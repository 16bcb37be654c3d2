"""Base class of tokenizers whose token rows have a fixed length."""
import reprlib
from collections.abc import Sequence
from functools import lru_cache

import torch

from mmpartref.errors import InputError, InputTypeError

# Longer strings are cut before they are encoded: byte-pair encoding takes quadratic time on one long word (8 s for
# 20,000 letters). A token has at most 32 bytes, so 75 tokens end within this many characters.
MAX_CHARACTERS = 4096


class FixedLengthTokenizer:
    """Turn strings into token rows of length L; rows are cached by string.

    Args:
        length: L, special tokens included.
        special_tokens: names of the special tokens in every row; a row also has at least one token of a word.

    Raises:
        ValueError: ``length`` leaves no space for a word.
    """

    def __init__(self, length: int, special_tokens: Sequence[str]) -> None:
        if length <= len(special_tokens):
            raise InputError(f'a row contains {", ".join(special_tokens)} and a word, so length must be at least '
                             f'{len(special_tokens) + 1}, got {length}')
        self.length = length
        self._row = lru_cache(maxsize=65536)(self._encode)

    def _encode(self, text: str) -> tuple[int, ...]:
        """Return the L token ids of one string."""
        raise NotImplementedError

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return token rows (len(texts), L) int64.

        Raises:
            TypeError: an expression is not a string.
        """
        for text in texts:
            if not isinstance(text, str):
                raise InputTypeError(f'an expression must be a string, got {type(text).__name__}: {reprlib.repr(text)}')
        return torch.tensor([self._row(text) for text in texts], dtype=torch.int64).reshape(-1, self.length)
