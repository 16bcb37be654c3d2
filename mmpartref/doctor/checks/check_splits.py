"""Which PartImageNet this is, its published counts, and what lies in more than one split."""
from collections.abc import Mapping
from pathlib import Path

from mmpartref.datasets.coco.findings import Findings
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import (
    OOD_CLASSES,
    OOD_PHOTOS,
    SEG_CLASSES,
    SEG_PHOTOS,
    bare,
    detect_split,
)
from mmpartref.doctor.part_counts import PartCounts

# Annotated parts of the Seg split. Those of val are what the others leave of the total, and held to be about right.
SEG_PARTS = {'train': 95059, 'val': 5626, 'test': 11275}
APPROXIMATE = ('val', 'parts')
CLOSE = 0.01

NOT_PARTIMAGENET = 'not PartImageNet; counts not compared'
NEITHER = "PartImageNet's names, but neither its Seg nor its OOD split; counts not compared"


def published(kind: str, split: str) -> dict[str, int]:
    """Return the published 'photos', 'classes' and, where known, 'parts' of a split of kind 'Seg' or 'OOD'."""
    if kind == 'Seg':
        return {'photos': SEG_PHOTOS[split], 'classes': SEG_CLASSES, 'parts': SEG_PARTS[split]}
    if kind == 'OOD':
        return {'photos': OOD_PHOTOS[split], 'classes': OOD_CLASSES[split]}
    return {}


def identify(counts: Mapping[str, PartCounts], partimagenet: bool, findings: Findings) -> tuple[str, str]:
    """Tell the split from classes and photos, and note what does not fit.

    Returns:
        'Seg', 'OOD' or '' and a sentence.
    """
    if not partimagenet:
        return '', NOT_PARTIMAGENET
    sentences = {split: detect_split(len(count.classes), count.photos) for split, count in counts.items()}
    kinds = {split: sentence.split()[0].rstrip(':') for split, sentence in sentences.items()}
    detail = '; '.join(f'{split} is {sentence}' for split, sentence in sentences.items())
    distinct = set(kinds.values()) - {'neither'}
    # A class count alone can be met by chance.
    if not distinct or 2 * list(kinds.values()).count('neither') > len(kinds):
        return '', f'{NEITHER} ({detail})'
    if len(distinct) == 2:
        findings.add('mixed-splits', message=detail)
        return '', f'a mixture of PartImageNet\'s splits; counts not compared ({detail})'
    kind = distinct.pop()
    for split, sentence in sentences.items():
        seems = sentence.split()[1].rstrip(':')
        if kinds[split] == 'neither':
            findings.add('mixed-splits', split=split, message=f'{split} is {sentence}, the others are {kind}')
        elif seems in counts and seems != split:
            findings.add('swapped-split', split=split, message=f'{split} is {sentence}')
    if kind == 'OOD':
        check_classes_disjoint(counts, findings)
    return kind, f'PartImageNet, {kind} split ({detail})'


def check_classes_disjoint(counts: Mapping[str, PartCounts], findings: Findings) -> None:
    """Note classes that occur in several splits."""
    splits = list(counts)
    for number, one in enumerate(splits):
        for two in splits[number + 1:]:
            shared = counts[one].classes.keys() & counts[two].classes.keys()
            if shared:
                findings.add('shared-classes', split=two, message=f'{len(shared)} classes are in {one} and {two}, e.g. '
                             f'{min(shared)}')


def compare_counts(kind: str, counts: Mapping[str, PartCounts], findings: Findings) -> None:
    """Note counts that are not the published ones."""
    for split, count in counts.items():
        found = {'photos': count.photos, 'classes': len(count.classes), 'parts': count.annotations}
        for what, number in published(kind, split).items():
            if found[what] == number:
                continue
            if (split, what) == APPROXIMATE and abs(found[what] - number) <= CLOSE * number:
                continue
            findings.add('count-differs', split=split, message=f'{found[what]:,} {what}, published are {number:,} '
                         f'({found[what] - number:+,})')


class Duplicates:
    """Photos seen so far, by content and by name, over all splits.

    Keeps 32 bytes and a name per photo, never pixels.
    """

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._by_content: dict[bytes, tuple[str, str]] = {}
        self._by_name: dict[str, tuple[str, str]] = {}

    def add(self, digest: bytes | None, file_name: str, path: Path, split: str, record: str,
            partimagenet: bool) -> None:
        """Compare a photo with all before it, and keep it."""
        shown = self.findings.name(path)
        if digest is not None:
            other, other_file = self._by_content.setdefault(digest, (split, shown))
            if (other, other_file) != (split, shown):
                code = 'duplicate-in-split' if other == split else 'duplicate-across-splits'
                self.findings.add(code, split=split, file=path, record=record,
                                  message=f'it is {other_file} ({other}), to the last bit')
        # Without PartImageNet's ids "0001.jpg" in two folders need not mean anything.
        name = bare(file_name) if partimagenet else file_name
        other, other_file = self._by_name.setdefault(name, (split, shown))
        if other != split:
            self.findings.add('same-photo-name' if partimagenet else 'same-file-name', split=split, file=path,
                              record=record, message=f'{name} is in {other} too')
