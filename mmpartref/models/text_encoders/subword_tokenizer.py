"""Subword tokenizers from a published vocabulary file (tokenizers, sentencepiece)."""
import string
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mmpartref.errors import InputError, MissingFileError
from mmpartref.models.layers.optional_package import import_package
from mmpartref.models.text_encoders.fixed_length_tokenizer import FixedLengthTokenizer
from mmpartref.models.weights.archives import expand_path

PUNCTUATION = str.maketrans('', '', string.punctuation)


def canonicalize(text: str) -> str:
    """Return text in lower case without punctuation, underscores as spaces, as SigLIP was trained on."""
    return ' '.join(text.replace('_', ' ').translate(PUNCTUATION).lower().split())


def lower(text: str) -> str:
    """Return text in lower case with collapsed white space."""
    return ' '.join(text.lower().split())


CLEAN: dict[str, Callable[[str], str]] = {'canonicalize': canonicalize, 'lower': lower}


class SubwordTokenizer(FixedLengthTokenizer):
    """Turn strings into token rows ``words... [eos] [pad] [pad]`` with a vocabulary from a file.

    Args:
        file: ``*.json`` of the package tokenizers (SigLIP 2: ``tokenizer.json``), or a sentencepiece ``*.model``
            (SigLIP: ``spiece.model``); ``~`` and ``$VARIABLES`` are expanded. It is not downloaded.
        length: tokens L of a row, [eos] included; longer strings are truncated before [eos].
        clean: ``'lower'`` (SigLIP 2) or ``'canonicalize'`` (SigLIP, and both in open_clip).
        eos, pad: the special tokens; SigLIP pads with ``'</s>'``, its [eos].

    Attributes:
        size: tokens of the vocabulary.
        end, pad: ids of the special tokens.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file has another format or lacks a special token, or ``clean`` is unknown.
    """

    def __init__(self,
                 file: str,
                 length: int = 64,
                 clean: str = 'lower',
                 eos: str = '<eos>',
                 pad: str = '<pad>') -> None:
        if clean not in CLEAN:
            raise InputError(f"clean={clean!r} is unknown; choose one of {sorted(CLEAN)}")
        super().__init__(length, ('[eos]', ))
        path = expand_path(file)
        if not path.is_file():
            raise MissingFileError(f'there is no tokenizer file {path}; download it from the repository of the weights '
                                   '(tokenizer.json for SigLIP 2, spiece.model for SigLIP)')
        self._clean = CLEAN[clean]
        self._ids, find, self.size = read_vocabulary(path)
        special = {token: number for token in (eos, pad) if (number := find(token)) is not None}
        missing = [token for token in (eos, pad) if token not in special]
        if missing:
            raise InputError(f'{path} has no token {" or ".join(missing)}: set tokenizer.eos and tokenizer.pad to '
                             'tokens of its vocabulary')
        self.end, self.pad = special[eos], special[pad]

    def _encode(self, text: str) -> list[int]:
        return self._ids(self._clean(text))


def encode_plain(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text's tokens without special tokens, by a tokenizer of the package tokenizers."""
    return tokenizer.encode(text, add_special_tokens=False).ids


def read_vocabulary(path: Path) -> tuple[Callable[[str], list[int]], Callable[[str], int | None], int]:
    """Return functions that encode a string without special tokens and look up a token's id, and the number of tokens.

    Raises:
        ValueError: the file has another format or is damaged.
    """
    if path.suffix == '.json':
        tokenizers = import_package('tokenizers', str(path))
        try:
            whole = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises bare Exceptions
            raise InputError(f'{path} is not a file of the package tokenizers: {error}') from error
        # Some files ask for rows of a fixed length; padding and truncation are the row's own business here.
        whole.no_padding()
        whole.no_truncation()
        return partial(encode_plain, whole), whole.token_to_id, whole.get_vocab_size()
    if path.suffix == '.model':
        sentencepiece = import_package('sentencepiece', str(path))
        try:
            pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise InputError(f'{path} is not a sentencepiece model: {error}') from error
        numbers = {pieces.id_to_piece(number): number for number in range(pieces.get_piece_size())}
        return pieces.encode, numbers.get, len(numbers)
    raise InputError(f'{path} should end in .json (package tokenizers) or .model (sentencepiece)')


def is_after_end(tokens: torch.Tensor, end: int) -> torch.Tensor:
    """Return (U, L) bool, true after the first ``end`` of each token row (U, L)."""
    ends = (tokens == end).int()
    return ends.cumsum(dim=1) - ends > 0
