"""Comparison of the names, shapes and values of weights with those of a model."""
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from mmpartref.errors import WeightsError
from mmpartref.models.weights.state_dicts import NAME_PARTS
from mmpartref.text import one_line

# Keys of each kind in a summary.
NAMED_KEYS = 2
# First parts of names in an explanation.
NAMED_MODULES = 6
# Characters of a name that an explanation looks at; the names in a crafted file can be of any length.
MAX_EXPLAINED = 300


@dataclass(frozen=True)
class KeyReport:
    """Missing, unexpected, reshaped and unusable keys of a state dict, and what explains most of them, '' if unknown.

    An unusable entry has other values than a parameter can have: it is not finite, or of another kind of number.
    """
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    explanation: str = ''

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped or self.unusable)

    def __str__(self) -> str:
        lines = []
        for title, keys in (('missing', self.missing), ('unexpected', self.unexpected),
                            ('of another shape', self.reshaped), ('with unusable values', self.unusable)):
            if keys:
                lines += [f'{len(keys)} {title}:', *(f'  {key}' for key in keys)]
        if self.explanation:
            lines.append(self.explanation)
        return '\n'.join(lines) or 'every key fits'

    def summary(self, advice: str = '') -> str:
        """Return one line: the number of keys of each kind, the first of them, and the explanation.

        Args:
            advice: how to fix the difference, if there is no explanation.
        """
        kinds = []
        for title, keys in (('with unusable values', self.unusable), ('missing', self.missing),
                            ('not of this model', self.unexpected), ('of another shape', self.reshaped)):
            if keys:
                more = ', ...' if len(keys) > NAMED_KEYS else ''
                kinds.append(f'{len(keys)} keys {title} ({", ".join(keys[:NAMED_KEYS])}{more})')
        last = self.explanation or advice
        return '; '.join([*kinds, last] if last else kinds)


def compare_keys(given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], *,
                 allow_missing: tuple[str, ...] = ()) -> KeyReport:
    """Compare weights with a model's state dict.

    Args:
        given: the weights.
        wanted: the model's state dict, possibly on the meta device.
        allow_missing: substrings of names that may be missing.
    """
    missing = [key for key in wanted if key not in given and not any(part in key for part in allow_missing)]
    unexpected = [key for key in given if key not in wanted]
    common = [key for key in wanted if key in given]
    reshaped = [key for key in common if given[key].shape != wanted[key].shape]
    faults = {key: value_fault(given[key], wanted[key]) for key in common}
    unusable = tuple(f'{key} {fault}' for key, fault in faults.items() if fault)
    if missing or unexpected or reshaped:
        explanation = explain(missing, unexpected, reshaped, given, wanted)
    else:
        explanation = 'use an undamaged checkpoint' if unusable else ''
    return KeyReport(
        tuple(missing), tuple(map(one_line, unexpected)),
        tuple(f'{key}: {tuple(given[key].shape)} instead of {tuple(wanted[key].shape)}' for key in reshaped),
        unusable, explanation)


def value_fault(value: torch.Tensor, wanted: torch.Tensor) -> str:
    """Return why a tensor cannot become the value of a parameter or buffer, '' if it can."""
    if value.layout is not torch.strided or value.is_quantized or value.is_nested:
        return 'is not a dense tensor'
    if value.is_meta:
        return '' if wanted.is_meta else 'has no values'
    if wanted.is_floating_point():
        if not value.is_floating_point():
            return f'has values of type {value.dtype} instead of {wanted.dtype}'
        cast = value.to(wanted.dtype).float()
        if torch.isfinite(cast).all():
            return ''
        own = wanted.to(value.device, torch.float32) if wanted.shape == value.shape and not wanted.is_meta else None
        if own is not None and torch.equal(own, cast):  # a mask of minus infinities
            return ''
        return f'is NaN at {int(cast.isnan().sum()):,} and infinite at {int(cast.isinf().sum()):,} of {cast.numel():,}'
    if value.is_complex() != wanted.is_complex() or not torch.equal(value.to(wanted.dtype).to(value.dtype), value):
        return f'has values of type {value.dtype} instead of {wanted.dtype}'
    return ''


def check_loaded(module: nn.Module, state: Mapping[str, torch.Tensor], source: object) -> None:
    """Compare a module's parameters and buffers with the weights that were loaded.

    Raises:
        WeightsError: one has another value.
    """
    differing = [name for name, value in module.state_dict().items()
                 if name in state and not torch.equal(value, state[name].to(value.device, value.dtype))]
    if differing:
        raise WeightsError(f'after loading {source}, {len(differing)} entries of the {type(module).__name__} do not '
                           f'have its values ({", ".join(differing[:NAMED_KEYS])}); use another checkpoint')


def explain(missing: list[str], unexpected: list[str], reshaped: list[str], given: Mapping[str, torch.Tensor],
            wanted: Mapping[str, torch.Tensor]) -> str:
    """Return what explains more than half of the keys that differ, '' if nothing does.

    Args:
        missing, unexpected, reshaped: names of ``compare_keys``.
        given: the weights.
        wanted: the model's state dict.
    """
    if any(name.startswith('text_model.') for name in given) or {'visual.conv1.weight', 'ln_final.weight'} <= {*given}:
        return "these are CLIP's weights; name the file in init_cfg=dict(type='CLIPPretrained', checkpoint=...)"
    total = len(missing) + len(unexpected) + len(reshaped)
    unexpected = [name for name in unexpected if len(name) <= MAX_EXPLAINED]
    given = {name: value for name, value in given.items() if len(name) <= MAX_EXPLAINED}
    for number, text in (_prefix(missing, unexpected), _width(reshaped, given, wanted),
                         _layers(missing, unexpected, given, wanted),
                         _module([*missing, *unexpected, *reshaped], given, wanted)):
        if 2 * number > total:
            return f'{number} of these {total} keys: {text}'
    if not given.keys() & wanted.keys():
        return f'the file is of another model: its names start with {_tops(given)}, those of the model {_tops(wanted)}'
    return ''


def _prefix(missing: list[str], unexpected: list[str]) -> tuple[int, str]:
    """Return how many names are equal but for one prefix, and which."""
    found: Counter[tuple[str, str]] = Counter()
    for names, ends, side in ((unexpected, {*missing}, 'more'), (missing, {*unexpected}, 'less')):
        for name in names:
            found.update((side, name[:dot]) for dot in _after_dots(name) if name[dot:] in ends)
    if not found:
        return 0, ''
    (side, prefix), number = found.most_common(1)[0]
    verb, advice = ('have', 'remove it') if side == 'more' else ('lack', 'add it, or load the file into that part')
    return 2 * number, f"their names in the file {verb} the prefix '{prefix}'; {advice}"


def _after_dots(name: str) -> Iterator[int]:
    """Yield the positions after the dots of a name."""
    return (found.end() for found in re.finditer(r'\.', name))


def _width(reshaped: list[str], given: Mapping[str, torch.Tensor],
           wanted: Mapping[str, torch.Tensor]) -> tuple[int, str]:
    """Return how many shapes differ by the same factor, or only in the number of positions."""
    if reshaped and all('pos' in name.rsplit('.', 1)[-1] for name in reshaped):
        return len(reshaped), 'another number of positions; set the image size or word length of the checkpoint'
    ratios: Counter[float] = Counter()
    sizes: dict[float, Counter[tuple[int, int]]] = {}
    for name in reshaped:
        pairs = {(a, b) for a, b in zip(given[name].shape, wanted[name].shape, strict=False) if a != b and a and b}
        for ratio in {a / b for a, b in pairs}:
            ratios[ratio] += 1
            sizes.setdefault(ratio, Counter()).update(pair for pair in pairs if pair[0] / pair[1] == ratio)
    if not ratios:
        return 0, ''
    ratio, number = ratios.most_common(1)[0]
    theirs, ours = sizes[ratio].most_common(1)[0][0]
    return number, (f'another width, e.g. {theirs} channels in the file and {ours} in the model; set the width of the '
                    'checkpoint in the config')


def _layers(missing: list[str], unexpected: list[str], given: Mapping[str, torch.Tensor],
            wanted: Mapping[str, torch.Tensor]) -> tuple[int, str]:
    """Return how many names are of numbered layers that one side does not have."""
    theirs, ours = _numbered(given), _numbered(wanted)
    found: Counter[str] = Counter()
    for names, others in ((missing, theirs), (unexpected, ours)):
        for name in names:
            for place in re.finditer(r'\.(\d+)(?=\.)', name):
                container = name[:place.start()]
                if others.get(container) and place[1] not in others[container]:
                    found[container] += 1
                    break
    if not found:
        return 0, ''
    container = found.most_common(1)[0][0]
    return found.total(), (f"another number of layers, e.g. in '{container}' {len(theirs.get(container, ()))} in the "
                           f'file and {len(ours.get(container, ()))} in the model; set the number of the checkpoint')


def _numbered(names: Iterable[str]) -> dict[str, set[str]]:
    """Return the numbers of the numbered children by the name of their container."""
    found: dict[str, set[str]] = {}
    for name in names:
        for place in re.finditer(r'\.(\d+)(?=\.)', name):
            found.setdefault(name[:place.start()], set()).add(place[1])
    return found


def _module(differing: list[str], given: Iterable[str], wanted: Iterable[str]) -> tuple[int, str]:
    """Return how many names are of one module of the model, such as the head, if other modules fit."""
    tops = Counter(name.partition('.')[0] for name in differing)
    top, number = tops.most_common(1)[0] if tops else ('', 0)
    theirs, ours = ({name.partition('.')[0] for name in names} for names in (given, wanted))
    if not (theirs & ours) - {top} or top in NAME_PARTS:
        return 0, ''
    if top not in theirs:
        return number, f"the file has no '{top}', which the model has; use a checkpoint of the whole model"
    if top not in ours:
        return number, f"the model has no '{top}', which the file has; give the config with it"
    if number < 2 or top.isdigit():
        return 0, ''
    return number, f"the file has another '{top}' than the model; use the config with the same {top}"


def _tops(names: Iterable[str]) -> str:
    """Return the first parts of names, for a message."""
    found = list(dict.fromkeys(one_line(name.partition('.')[0], 30) for name in names))
    return ', '.join(found[:NAMED_MODULES]) + (', ...' if len(found) > NAMED_MODULES else '')
