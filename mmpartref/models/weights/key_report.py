"""Comparison of the names and shapes of weights with those of a model."""
from collections.abc import Mapping
from dataclasses import dataclass

import torch

# Keys of each kind in a summary.
NAMED_KEYS = 2


@dataclass(frozen=True)
class KeyReport:
    """Missing, unexpected and reshaped keys of a state dict."""
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        lines = []
        for title, keys in (('missing', self.missing), ('unexpected', self.unexpected),
                            ('of another shape', self.reshaped)):
            if keys:
                lines += [f'{len(keys)} {title}:', *(f'  {key}' for key in keys)]
        return '\n'.join(lines) or 'every key fits'

    def summary(self) -> str:
        """Return one line with the number of keys of each kind and the first of them."""
        kinds = []
        for title, keys in (('missing', self.missing), ('not of this model', self.unexpected),
                            ('of another shape', self.reshaped)):
            if keys:
                more = ', ...' if len(keys) > NAMED_KEYS else ''
                kinds.append(f'{len(keys)} keys {title} ({", ".join(keys[:NAMED_KEYS])}{more})')
        return '; '.join(kinds)


def compare_keys(given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], *,
                 allow_missing: tuple[str, ...] = ()) -> KeyReport:
    """Compare weights with a model's state dict.

    Args:
        given: the weights.
        wanted: the model's state dict, possibly on the meta device.
        allow_missing: substrings of names that may be missing.
    """
    lacking = [key for key in wanted if key not in given and not any(part in key for part in allow_missing)]
    reshaped = [
        f'{key}: {tuple(given[key].shape)} instead of {tuple(wanted[key].shape)}' for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    return KeyReport(tuple(lacking), tuple(key for key in given if key not in wanted), tuple(reshaped))
