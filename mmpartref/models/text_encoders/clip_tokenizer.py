"""CLIP's byte-pair tokenizer with a fixed length."""
import importlib.util
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from mmpartref.errors import InputError, MissingPackageError
from mmpartref.models.text_encoders.token_rows import MAX_CHARACTERS, TokenRows


@cache
def load_bpe() -> Any:
    """Return mmseg's byte-pair encoder with CLIP's vocabulary.

    The module is loaded from its file: the package around it, ``mmseg.utils``, imports mmcv's compiled operations,
    which CRIS does without.

    Raises:
        ImportError: mmsegmentation is not installed.
    """
    package = importlib.util.find_spec('mmseg')
    if package is None or package.origin is None:
        raise MissingPackageError("CLIP's vocabulary comes with mmsegmentation: pip install mmsegmentation")
    file = Path(package.origin).parent / 'utils' / 'tokenizer.py'
    spec = importlib.util.spec_from_file_location('mmpartref_mmseg_tokenizer', file)
    if spec is None or spec.loader is None:
        raise MissingPackageError(f'{file} is not there; mmpartref is tested with mmsegmentation 1.2')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._tokenizer


class CLIPTokenizer(TokenRows):
    """Turn strings into token rows for ``CLIPTextEncoder``.

    The vocabulary and the encoding are mmseg's copy of OpenAI's (``mmseg.utils.tokenizer``). Rows are
    ``[SOS] words... [EOS] 0 0``; a longer string is cut, and its last token is [EOS] all the same. Before that, as
    OpenAI's code does: broken unicode and HTML entities are mended (ftfy), runs of white space become one space,
    control characters vanish, letters become small.

    Args:
        length: tokens L of a row, [SOS] and [EOS] included; CRIS uses 17 on every data set but RefCOCOg's 22.
    """

    def __init__(self, length: int = 17) -> None:
        if length < 3:
            raise InputError(f'a row holds [SOS], a word and [EOS], so length must be at least 3, got {length}')
        self.length = length
        self._encoder = load_bpe()
        self.start = self._encoder.encoder['<start_of_text>']
        self.end = self._encoder.encoder['<end_of_text>']
        self._row = lru_cache(maxsize=65536)(self._encode)

    def _encode(self, text: str) -> tuple[int, ...]:
        readable = ' '.join(text.split())[:MAX_CHARACTERS]
        row = [self.start, *self._encoder.encode(readable)[:self.length - 2], self.end]
        return tuple(row + [0] * (self.length - len(row)))
