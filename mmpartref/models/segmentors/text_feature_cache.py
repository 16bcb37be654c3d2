"""Cache of text features across batches, as long as the text encoder's weights do not change."""
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch
from torch import nn

# At 40 kB each for CLIP RN50: at most 80 MB.
MAX_STRINGS = 2048


class TextFeatureCache:
    """LRU cache of a text encoder's outputs by token row, cleared when its weights, device or precision change.

    For evaluation only: cached features have no gradient. In-place changes of a weight are detected by its version.
    Changes of ``weight.data`` (as by an EMA) and of an encoder without parameters and buffers are not: call ``clear``.

    Attributes:
        encoded: number of rows that have been encoded.
    """

    def __init__(self, max_strings: int = MAX_STRINGS) -> None:
        self.max_strings = max_strings
        self.encoded = 0
        self._cached: OrderedDict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor]] = OrderedDict()
        self._stamp: Hashable = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without the features of this object's encoder."""
        return {**self.__dict__, '_cached': OrderedDict(), '_stamp': None}

    def encode(self, encoder: nn.Module, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return words (U, L, D) and sentence (U, E) of token rows (U, L), as ``encoder(tokens)`` does."""
        stamp = self.stamp(encoder, tokens.device)
        if stamp is None:
            return encoder(tokens)
        if stamp != self._stamp:
            self.clear()
            self._stamp = stamp
        rows = [tuple(row) for row in tokens.tolist()]
        new = [number for number, row in enumerate(rows) if row not in self._cached]
        if new:
            self.encoded += len(new)
            # On a CPU row by row, in twice the time: matrix products round differently for other numbers of rows, and
            # a string's features must not depend on the batch, so that all ranks compute the same scores.
            for batch in [new] if tokens.is_cuda else [[number] for number in new]:
                features = zip(*encoder(tokens[batch]), strict=True)
                self._cached.update(zip([rows[number] for number in batch], features, strict=True))
        for row in rows:
            self._cached.move_to_end(row)
        found = [self._cached[row] for row in rows]
        while len(self._cached) > self.max_strings:
            self._cached.popitem(last=False)
        return torch.stack([each[0] for each in found]), torch.stack([each[1] for each in found])

    def clear(self) -> None:
        """Drop all cached features."""
        self._cached.clear()

    @staticmethod
    def stamp(encoder: nn.Module, device: torch.device) -> Hashable:
        """Return a key that differs whenever the features may differ.

        It consists of the encoder's identity, the identity, version, address and dtype of every parameter and buffer,
        the tokens' device, and the autocast settings of that device. None where a parameter was created in inference
        mode and has no version.
        """
        tensors = [*encoder.parameters(), *encoder.buffers()]
        if any(each.is_inference() for each in tensors):
            return None
        weights = tuple((id(each), each._version, each.data_ptr(), each.dtype) for each in tensors)
        autocast = (torch.amp.is_autocast_available(device.type)
                    and (torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)))
        return id(encoder), weights, device, autocast
