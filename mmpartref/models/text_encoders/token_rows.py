"""What tokenizers of a fixed length share."""
import reprlib
from collections.abc import Callable, Sequence

import torch

from mmpartref.errors import InputTypeError

# Byte-pair encoding takes quadratic time on one long word (8 s for 20,000 letters), and no token is longer than 32
# bytes: 75 of them end within this many characters.
MAX_CHARACTERS = 4096


def check_texts(texts: Sequence[str]) -> None:
    """Refuse what is no text.

    Raises:
        TypeError: an expression is not a string.
    """
    for text in texts:
        if not isinstance(text, str):
            raise InputTypeError(f'an expression must be a string, got {type(text).__name__}: {reprlib.repr(text)}')


class TokenRows:
    """Base of tokenizers that encode string by string; a subclass sets ``length`` and ``_row``."""
    length: int
    _row: Callable[[str], tuple[int, ...]]

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return token rows (len(texts), L) int64.

        Raises:
            TypeError: an expression is not a string.
        """
        check_texts(texts)
        return torch.tensor([self._row(text) for text in texts], dtype=torch.int64).reshape(-1, self.length)
