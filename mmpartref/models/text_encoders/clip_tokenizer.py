"""CLIP's byte-pair tokenizer."""
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from mmpartref.errors import MissingPackageError
from mmpartref.models.text_encoders.fixed_length_tokenizer import FixedLengthTokenizer


@cache
def load_bpe() -> Any:
    """Return mmseg's byte-pair encoder with CLIP's vocabulary.

    The module is loaded from its file, because its package ``mmseg.utils`` imports mmcv's compiled operations, which
    CRIS does not need.

    Raises:
        ImportError: mmsegmentation is missing.
    """
    package = importlib.util.find_spec('mmseg')
    if package is None or package.origin is None:
        raise MissingPackageError("CLIP's vocabulary is part of mmsegmentation: pip install mmsegmentation")
    file = Path(package.origin).parent / 'utils' / 'tokenizer.py'
    spec = importlib.util.spec_from_file_location('mmpartref_mmseg_tokenizer', file)
    if spec is None or spec.loader is None:
        raise MissingPackageError(f'{file} does not exist; install mmsegmentation 1.2')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._tokenizer


class CLIPTokenizer(FixedLengthTokenizer):
    """Turn strings into token rows ``[SOS] words... [EOS] 0 0`` for ``CLIPTextEncoder``.

    Longer strings are truncated before [EOS]. Text is normalised as by OpenAI's code: broken unicode and HTML entities
    are repaired (ftfy), white space is collapsed, control characters are removed, letters are lower-cased. The
    vocabulary and the encoding are mmseg's copy of OpenAI's (``mmseg.utils.tokenizer``).

    Args:
        length: tokens L of a row, [SOS] and [EOS] included; CRIS uses 22 on RefCOCOg and 17 on all other datasets.
    """

    def __init__(self, length: int = 17) -> None:
        super().__init__(length, ('[SOS]', '[EOS]'))
        self.start = (self._encoder.encoder['<start_of_text>'], )
        self.end = self._encoder.encoder['<end_of_text>']

    @property
    def _encoder(self) -> Any:
        # Not an attribute: its module is loaded from a file, so that no pickle could name its class.
        return load_bpe()

    def _encode(self, text: str) -> list[int]:
        return self._encoder.encode(text)
