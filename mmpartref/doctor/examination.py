"""All checks of a dataset, over its splits."""
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.check_masks import Limits, check_masks
from mmpartref.datasets.coco.findings import Finding, Findings, SplitFindings
from mmpartref.datasets.coco.records import Image
from mmpartref.datasets.partimagenet.partimagenet_names import load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import IMAGE_LAYOUTS, base_name, wnid
from mmpartref.doctor.checks.check_images import check_image, locate
from mmpartref.doctor.checks.check_label_maps import check_map
from mmpartref.doctor.checks.check_names import SplitRecords, read_split
from mmpartref.doctor.checks.check_splits import Duplicates, compare_counts, identify
from mmpartref.doctor.layout import FileIndex, SplitFiles, choose_layout, find_splits, index_files
from mmpartref.doctor.part_counts import PartCounts
from mmpartref.progress import track

# Fewer images are examined without a progress bar.
BAR_FROM = 500


@dataclass(frozen=True)
class Report:
    """Result of an examination.

    Attributes:
        findings: every fault.
        counts: of the splits whose json could be read.
        kind: 'Seg', 'OOD' or ''.
        verdict: a sentence on which dataset this is.
        remarks: which checks were made.
    """
    findings: Findings
    counts: dict[str, PartCounts]
    kind: str
    verdict: str
    remarks: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return everything for a json."""
        return {
            'root': str(self.findings.root),
            'healthy': self.findings.healthy,
            'verdict': self.verdict,
            'remarks': self.remarks,
            'number_of_findings': self.findings.counts(),
            'splits': {split: count.as_dict() for split, count in self.counts.items()},
            'findings': [finding.as_dict() for finding in self.findings],
        }


def examine(root: str | Path, *, annotations: str | Path | None = None, limits: Limits | None = None,
            decode: bool = True, strict: bool = False) -> Report:
    """Examine a tree of images, json files and label maps; nothing is changed.

    Args:
        root: folder with ``images`` and ``annotations``.
        annotations: folder with ``train.json``, ... instead of ``root/annotations``; label maps are still the root's.
        limits: of a healthy dataset; None: ``Limits()``.
        decode: decode every image; otherwise only its header is read.
        strict: warnings make it unhealthy, too.

    Raises:
        MissingFileError: there is no such folder, or no json in it.
        NotAFolderError: the root is a file.
    """
    findings = Findings(root, strict)
    return Examiner(Path(root), Path(annotations) if annotations else None, limits or Limits(), decode, findings).run()


def absolute(path: Path) -> Path:
    """Return the path without '..', as it would be written from the root; links are not followed."""
    return Path(os.path.abspath(path))


class Examiner:
    """Examines the splits one after another; only counts, names and hashes of a split stay in memory.

    Args:
        root, annotations, limits, decode: as in ``examine``.
        findings: to add to.
    """

    def __init__(self, root: Path, annotations: Path | None, limits: Limits, decode: bool, findings: Findings) -> None:
        self.limits = limits
        self.decode = decode
        self.findings = findings
        self.splits = find_splits(root, annotations, self.findings)
        self.indexes = {split.image_dir: index_files(split.image_dir) for split in self.splits}
        self.duplicates = Duplicates(self.findings)
        # Images that some json names, and folders of which a json could not be read.
        self.named: set[Path] = set()
        self.unread: set[Path] = set()
        content = 'their decoded pixels' if decode else 'their files; images were not decoded'
        self.remarks = [f'images are compared by SHA-256 of {content}']

    def run(self) -> Report:
        """Examine everything."""
        counts = {}
        partimagenet = []
        toyparts = []
        for split in self.splits:
            findings = SplitFindings(self.findings, split.name, split.ann_file)
            records = read_split(findings)
            if records is None:
                self.unread.add(split.image_dir)
                continue
            partimagenet.append(records.partimagenet)
            toyparts += [split.name] * records.toyparts
            counts[split.name] = self.examine_split(split, records, findings)
        if toyparts:
            self.remarks.append(f'{", ".join(toyparts)}: ToyParts, whose scenes have objects of two classes; parts are '
                                "not compared with the class in their image's name")
        self.check_extra_images()
        kind, verdict = identify(counts, bool(partimagenet) and all(partimagenet), self.findings)
        compare_counts(kind, counts, self.findings)
        return Report(self.findings, counts, kind, verdict, self.remarks)

    def examine_split(self, split: SplitFiles, records: SplitRecords, findings: SplitFindings) -> PartCounts:
        """Examine a split's images, masks and label maps, image by image."""
        index, parts = self.indexes[split.image_dir], records.parts
        layout = choose_layout((image.file_name for image in parts.images), index, records.partimagenet)
        self.remarks.append(f'{split.name}: images {layout}, below {self.findings.name(split.image_dir)}')
        # An image whose record is faulty is named all the same.
        self.named.update(absolute(index.folder / IMAGE_LAYOUTS[layout](name)) for name in records.file_names)
        maps = self.find_maps(split, records)
        counts = PartCounts(len(parts.images), records.annotations, categories=records.annotated)
        for image in track(parts.images, f'{split.name} images', min_items=BAR_FROM):
            self.examine_image(image, layout, index, records.partimagenet, findings)
            masks = check_masks(image, parts.records, parts.names, self.limits, findings)
            map_path = maps.get(Path(image.file_name).stem)
            if map_path:
                check_map(image, masks, image.img_id not in parts.incomplete, parts.names, map_path, self.limits,
                          findings)
            elif maps:
                findings.add('missing-map', f'image {image.img_id}', image.file_name, split.map_dir)
            counts.add_image([int(coco_mask.area(mask.rle)) for mask in masks])
            if wnid(image.file_name) in load_synsets():
                counts.classes[wnid(image.file_name)] += 1
        return counts

    def examine_image(self, image: Image, layout: str, index: FileIndex, partimagenet: bool,
                      findings: SplitFindings) -> None:
        """Find the file of an image and examine it."""
        others = [other for other in self.indexes.values() if other is not index]
        path, in_place = locate(image, layout, index, others, findings)
        self.named.add(absolute(path))
        digest = check_image(image, path, findings, decode=self.decode) if in_place else None
        self.duplicates.add(digest, image, path, findings.split, partimagenet)

    def find_maps(self, split: SplitFiles, records: SplitRecords) -> dict[str, Path]:
        """Return the label maps of a split by the images' names without suffix; empty where they are not compared."""
        paths = {Path(path).stem: split.map_dir / path for path in sorted(index_files(split.map_dir, '.png').paths)}
        if not paths:
            self.remarks.append(f'{split.name}: no label maps')
            return {}
        if not records.partimagenet:
            self.remarks.append(f'{split.name}: label maps not compared; their labels are known for PartImageNet alone')
            return {}
        self.remarks.append(f'{split.name}: {len(paths):,} label maps compared')
        known = {Path(base_name(name)).stem for name in records.file_names}
        for stem in sorted(paths.keys() - known):
            self.findings.add(Finding('extra-map', split=split.name), paths[stem])
        return paths

    def check_extra_images(self) -> None:
        """Report files that no json names."""
        for folder, index in self.indexes.items():
            if folder in self.unread:
                continue
            split = next(split.name for split in self.splits if split.image_dir == folder)
            for path in sorted(index.paths):
                if absolute(folder / path) not in self.named:
                    self.findings.add(Finding('extra-image', split=split), folder / path)
