"""Compare two sets of parameter names and shapes, and say plainly where they differ."""
from collections.abc import Mapping
from dataclasses import dataclass

import torch

# Keys of each kind that a sentence names.
NAMED_KEYS = 2


@dataclass(frozen=True)
class KeyReport:
    """What a state dict lacks, has too much, or has in another shape."""
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        lines = []
        for title, keys in (('missing', self.missing), ('unexpected', self.unexpected), ('of another shape',
                                                                                          self.reshaped)):
            if keys:
                lines.append(f'{len(keys)} {title}:')
                lines += [f'  {key}' for key in keys]
        return '\n'.join(lines) or 'every key fits'


def compare_keys(given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], *,
                 may_lack: tuple[str, ...] = ()) -> KeyReport:
    """Compare given weights with a model's own.

    Args:
        given: the weights.
        wanted: the model's state dict; a model on the meta device will do.
        may_lack: parts of names that may be missing without being reported.
    """
    lacking = [key for key in wanted if key not in given and not any(part in key for part in may_lack)]
    reshaped = [
        f'{key}: {tuple(given[key].shape)} instead of {tuple(wanted[key].shape)}' for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    return KeyReport(tuple(lacking), tuple(key for key in given if key not in wanted), tuple(reshaped))


def in_short(report: KeyReport) -> str:
    """Return one line: how many keys of each kind differ, and the first of them."""
    kinds = []
    for title, keys in (('missing', report.missing), ('not of this model', report.unexpected),
                        ('of another shape', report.reshaped)):
        if keys:
            more = ', ...' if len(keys) > NAMED_KEYS else ''
            kinds.append(f'{len(keys)} keys {title} ({", ".join(keys[:NAMED_KEYS])}{more})')
    return '; '.join(kinds)
