"""Text features kept from batch to batch while the weights stay the same."""
from collections import OrderedDict
from collections.abc import Hashable

import torch
from torch import nn

# 40 kB each for CLIP RN50: at most 80 MB.
MOST_STRINGS = 2048


class TextFeatureCache:
    """Encodes each string once for as long as the text encoder's weights, device and precision stay the same.

    Only for evaluation: features kept this way have no gradient. Writing into a weight raises its version, which is
    noticed; writing into ``weight.data`` (as an EMA's swap does) is not, nor is a change of an encoder that has neither
    parameters nor buffers, so whoever might do that calls ``clear``.

    Attributes:
        encoded: rows that went through the encoder so far.
    """

    def __init__(self, most: int = MOST_STRINGS) -> None:
        self.most = most
        self.encoded = 0
        self._kept: OrderedDict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor]] = OrderedDict()
        self._stamp: Hashable = None

    def encode(self, encoder: nn.Module, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return words (U, L, D) and sentence (U, E) of token rows (U, L), as ``encoder(tokens)`` does."""
        stamp = self.stamp(encoder, tokens.device)
        if stamp is None:
            return encoder(tokens)
        if stamp != self._stamp:
            self.clear()
            self._stamp = stamp
        rows = [tuple(row) for row in tokens.tolist()]
        new = [number for number, row in enumerate(rows) if row not in self._kept]
        if new:
            self.encoded += len(new)
            # On a CPU one by one, for twice the time: matrix products round by the number of rows, and a string's
            # features must not depend on what else was new, or two processes would not score alike to the digit.
            for together in [new] if tokens.is_cuda else [[number] for number in new]:
                features = zip(*encoder(tokens[together]), strict=True)
                self._kept.update(zip([rows[number] for number in together], features, strict=True))
        for row in rows:
            self._kept.move_to_end(row)
        found = [self._kept[row] for row in rows]
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)
        return torch.stack([each[0] for each in found]), torch.stack([each[1] for each in found])

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    @staticmethod
    def stamp(encoder: nn.Module, device: torch.device) -> Hashable:
        """Return what changes whenever the features might.

        That is the encoder's identity, every weight's identity, version, address and dtype, the tokens' device, and
        autocast there. None where a weight was made in inference mode and has no version.
        """
        tensors = [*encoder.parameters(), *encoder.buffers()]
        if any(each.is_inference() for each in tensors):
            return None
        weights = tuple((id(each), each._version, each.data_ptr(), each.dtype) for each in tensors)
        autocast = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)
        return id(encoder), weights, device, autocast
