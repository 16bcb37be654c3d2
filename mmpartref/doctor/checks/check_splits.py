"""Checks between splits: which PartImageNet this is, its published counts, and images in more than one split."""
from collections.abc import Mapping
from pathlib import Path

from mmpartref.datasets.coco.findings import Finding, Findings
from mmpartref.datasets.coco.records import Image
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import (
    OOD_CLASSES,
    OOD_IMAGES,
    SEG_CLASSES,
    SEG_IMAGES,
    base_name,
    detect_split,
)
from mmpartref.doctor.part_counts import PartCounts

# Annotated parts of the Seg split. The number of val is the total minus the others, so only about right.
SEG_PARTS = {'train': 95059, 'val': 5626, 'test': 11275}
APPROXIMATE = ('val', 'parts')
CLOSE = 0.01

NOT_PARTIMAGENET = 'not PartImageNet; counts not compared'
NEITHER = "PartImageNet's names, but neither its Seg nor its OOD split; counts not compared"


def published(kind: str, split: str) -> dict[str, int]:
    """Return the published 'images', 'classes' and, where known, 'parts' of a split of kind 'Seg' or 'OOD'."""
    if kind == 'Seg':
        return {'images': SEG_IMAGES[split], 'classes': SEG_CLASSES, 'parts': SEG_PARTS[split]}
    if kind == 'OOD':
        return {'images': OOD_IMAGES[split], 'classes': OOD_CLASSES[split]}
    return {}


def identify(counts: Mapping[str, PartCounts], partimagenet: bool, findings: Findings) -> tuple[str, str]:
    """Detect the split from the numbers of classes and images; report splits that do not fit.

    Returns:
        'Seg', 'OOD' or '', and a sentence.
    """
    if not partimagenet:
        return '', NOT_PARTIMAGENET
    sentences = {split: detect_split(len(count.classes), count.images) for split, count in counts.items()}
    kinds = {split: sentence.split()[0].rstrip(':') for split, sentence in sentences.items()}
    detail = '; '.join(f'{split} is {sentence}' for split, sentence in sentences.items())
    distinct = set(kinds.values()) - {'neither'}
    # A class count alone can agree by chance.
    if not distinct or 2 * list(kinds.values()).count('neither') > len(kinds):
        return '', f'{NEITHER} ({detail})'
    if len(distinct) == 2:
        findings.add(Finding('mixed-splits', '', detail))
        return '', f'a mixture of PartImageNet\'s splits; counts not compared ({detail})'
    kind = distinct.pop()
    for split, sentence in sentences.items():
        seems = sentence.split()[1].rstrip(':')
        if kinds[split] == 'neither':
            findings.add(Finding('mixed-splits', '', f'{split} is {sentence}, the others are {kind}', split))
        elif seems in counts and seems != split:
            findings.add(Finding('swapped-split', '', f'{split} is {sentence}', split))
    if kind == 'OOD':
        check_classes_disjoint(counts, findings)
    return kind, f'PartImageNet, {kind} split ({detail})'


def check_classes_disjoint(counts: Mapping[str, PartCounts], findings: Findings) -> None:
    """Report classes that occur in several splits."""
    splits = list(counts)
    for number, one in enumerate(splits):
        for two in splits[number + 1:]:
            shared = counts[one].classes.keys() & counts[two].classes.keys()
            if shared:
                findings.add(Finding('shared-classes', '', f'{len(shared)} classes are in {one} and {two}, e.g. '
                                     f'{min(shared)}', two))


def compare_counts(kind: str, counts: Mapping[str, PartCounts], findings: Findings) -> None:
    """Report counts (by split) that differ from those published for this ``kind`` of dataset, as 'count-differs'."""
    for split, count in counts.items():
        found = {'images': count.images, 'classes': len(count.classes), 'parts': count.annotations}
        for what, number in published(kind, split).items():
            if found[what] == number:
                continue
            if (split, what) == APPROXIMATE and abs(found[what] - number) <= CLOSE * number:
                continue
            findings.add(Finding('count-differs', '', f'{found[what]:,} {what}, published are {number:,} '
                                 f'({found[what] - number:+,})', split))


class Duplicates:
    """Finds images that occur twice, by content and by name, over all splits.

    Stores 32 bytes and a name per image, not its pixels.
    """

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._by_content: dict[bytes, tuple[str, str]] = {}
        self._by_name: dict[str, tuple[str, str]] = {}

    def add(self, digest: bytes | None, image: Image, path: Path, split: str, partimagenet: bool) -> None:
        """Compare an image with all before it, and remember it."""
        record, shown = f'image {image.img_id}', self.findings.name(path)
        if digest is not None:
            other, other_file = self._by_content.setdefault(digest, (split, shown))
            if (other, other_file) != (split, shown):
                code = 'duplicate-in-split' if other == split else 'duplicate-across-splits'
                self.findings.add(Finding(code, record, f'it is identical to {other_file} ({other})', split), path)
        # Without PartImageNet's ids "0001.jpg" in two folders need not be the same image.
        name = base_name(image.file_name) if partimagenet else image.file_name
        other, other_file = self._by_name.setdefault(name, (split, shown))
        if other != split:
            self.findings.add(Finding('same-image-name' if partimagenet else 'same-file-name', record,
                                      f'{name} is in {other}, too', split), path)
