"""Tokenizers of other text encoders, read from the files they are published as."""
import string
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from mmpartref.errors import InputError, MissingFileError
from mmpartref.models.layers.optional_package import import_package
from mmpartref.models.text_encoders.token_rows import MAX_CHARACTERS, TokenRows
from mmpartref.models.weights.state_files import expand_path

PUNCTUATION = str.maketrans('', '', string.punctuation)


def canonicalize(text: str) -> str:
    """Return text in small letters without punctuation, an underscore read as a space: what SigLIP was trained on."""
    return ' '.join(text.replace('_', ' ').translate(PUNCTUATION).lower().split())


def lower(text: str) -> str:
    """Return text in small letters, runs of white space as one space."""
    return ' '.join(text.lower().split())


CLEAN: dict[str, Callable[[str], str]] = {'canonicalize': canonicalize, 'lower': lower}


class SubwordTokenizer(TokenRows):
    """Turn strings into token rows ``words... [eos] [pad] [pad]`` with a vocabulary from a file.

    Args:
        file: ``*.json`` of the package tokenizers (SigLIP 2: ``tokenizer.json``), or a sentencepiece ``*.model``
            (SigLIP: ``spiece.model``); ``~`` and ``$VARIABLES`` are expanded. Nothing is fetched.
        length: tokens L of a row, [eos] included; a longer string is cut, and its last token is [eos] all the same.
        clean: ``'lower'`` (SigLIP 2) or ``'canonicalize'`` (SigLIP, and both in open_clip).
        eos, pad: the special tokens; SigLIP pads with ``'</s>'``, its [eos].

    Attributes:
        size: tokens of the vocabulary. end, pad: numbers of the special tokens.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of another kind, lacks a special token, or a setting is unknown.
    """

    def __init__(self,
                 file: str,
                 length: int = 64,
                 clean: str = 'lower',
                 eos: str = '<eos>',
                 pad: str = '<pad>') -> None:
        if clean not in CLEAN:
            raise InputError(f"clean={clean!r} is unknown; choose one of {sorted(CLEAN)}")
        if length < 2:
            raise InputError(f'a row holds a word and [eos], so length must be at least 2, got {length}')
        path = expand_path(file)
        if not path.is_file():
            raise MissingFileError(f'there is no tokenizer file {path}; it is published beside the weights, '
                                   'for SigLIP 2 as tokenizer.json, for SigLIP as spiece.model')
        self.length = length
        self._clean = CLEAN[clean]
        self._ids, find, self.size = read_vocabulary(path)
        special = {token: number for token in (eos, pad) if (number := find(token)) is not None}
        missing = [token for token in (eos, pad) if token not in special]
        if missing:
            raise InputError(f'{path} has no token {" or ".join(missing)}: give tokenizer.eos and tokenizer.pad as '
                             'they are called there')
        self.end, self.pad = special[eos], special[pad]
        self._row = lru_cache(maxsize=65536)(self._encode)

    def _encode(self, text: str) -> tuple[int, ...]:
        words = self._ids(self._clean(text[:MAX_CHARACTERS]))[:self.length - 1]
        return (*words, self.end, *[self.pad] * (self.length - 1 - len(words)))


def read_vocabulary(path: Path) -> tuple[Callable[[str], list[int]], Callable[[str], int | None], int]:
    """Return what encodes a string, without special tokens, what finds a token's number, and how many there are.

    Raises:
        ValueError: the file is of another kind, or damaged.
    """
    if path.suffix == '.json':
        tokenizers = import_package('tokenizers', str(path))
        try:
            whole = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises bare Exceptions
            raise InputError(f'{path} is no tokenizer of the package tokenizers: {error}') from error
        return lambda text: whole.encode(text, add_special_tokens=False).ids, whole.token_to_id, whole.get_vocab_size()
    if path.suffix == '.model':
        sentencepiece = import_package('sentencepiece', str(path))
        try:
            pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise InputError(f'{path} is no sentencepiece model: {error}') from error
        numbers = {pieces.id_to_piece(number): number for number in range(pieces.get_piece_size())}
        return pieces.encode, numbers.get, len(numbers)
    raise InputError(f'{path} should end in .json (package tokenizers) or .model (sentencepiece)')


def behind_end(tokens: torch.Tensor, end: int) -> torch.Tensor:
    """Return (U, L) bool, true behind the first ``end`` of each token row (U, L)."""
    ends = (tokens == end).int()
    return ends.cumsum(dim=1) - ends > 0
