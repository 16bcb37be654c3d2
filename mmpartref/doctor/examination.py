"""The examination of a whole tree."""
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.utils import ProgressBar
from pycocotools import mask as coco_mask

from mmpartref.datasets.coco.check_masks import Limits, PhotoRecord, check_masks
from mmpartref.datasets.coco.findings import Findings, Notebook
from mmpartref.datasets.partimagenet.partimagenet_names import load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import bare, wnid
from mmpartref.doctor.checks.check_images import check_photo, locate
from mmpartref.doctor.checks.check_label_maps import check_map
from mmpartref.doctor.checks.check_names import SplitRecords, read_split
from mmpartref.doctor.checks.check_splits import Duplicates, compare_counts, identify
from mmpartref.doctor.layout import FileIndex, SplitFiles, choose_layout, find_splits, index_files
from mmpartref.doctor.part_counts import PartCounts

# Fewer photos than this are examined before a bar is drawn.
BAR_FROM = 500


@dataclass(frozen=True)
class Examination:
    """What an examination found.

    Attributes:
        findings: every fault.
        counts: of the splits whose json could be read.
        kind: 'Seg', 'OOD' or ''.
        verdict: a sentence on which data set this is.
        remarks: what was and was not done.
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
            decode: bool = True, strict: bool = False) -> Examination:
    """Examine a tree of photos, json files and label maps; nothing is changed.

    Args:
        root: folder with ``images`` and ``annotations``.
        annotations: folder with ``train.json``, ... instead of ``root/annotations``; label maps are still the root's.
        limits: what is still healthy; None: ``Limits()``.
        decode: decode every photo; otherwise only its header is read.
        strict: a warning is unhealthy, too.

    Raises:
        FileNotFoundError: there is no such folder, or no json in it.
        NotADirectoryError: the root is a file.
    """
    findings = Findings(root, strict)
    return Examiner(Path(root), Path(annotations) if annotations else None, limits or Limits(), decode, findings).run()


class Examiner:
    """Goes through the splits one after another; only counts, names and hashes outlive a split.

    Args:
        root, annotations, limits, decode: as in ``examine``.
        findings: to add to.
    """

    def __init__(self, root: Path, annotations: Path | None, limits: Limits, decode: bool, findings: Findings) -> None:
        self.limits = limits
        self.decode = decode
        self.findings = findings
        self.splits = find_splits(root, annotations, self.findings)
        self.indexes = {split.photo_dir: index_files(split.photo_dir) for split in self.splits}
        self.duplicates = Duplicates(self.findings)
        # Photos that some json names, and folders of which a json could not be read.
        self.named: set[Path] = set()
        self.unread: set[Path] = set()
        content = 'their decoded pixels' if decode else 'their files; photos were not decoded'
        self.remarks = [f'photos are compared by SHA-256 of {content}']

    def run(self) -> Examination:
        """Examine everything."""
        counts = {}
        partimagenet = []
        for split in self.splits:
            notebook = Notebook(self.findings, split.name, split.ann_file)
            records = read_split(notebook)
            if records is None:
                self.unread.add(split.photo_dir)
                continue
            partimagenet.append(records.partimagenet)
            counts[split.name] = self.examine_split(split, records, notebook)
        self.check_extra_photos()
        kind, verdict = identify(counts, bool(partimagenet) and all(partimagenet), self.findings)
        compare_counts(kind, counts, self.findings)
        return Examination(self.findings, counts, kind, verdict, self.remarks)

    def examine_split(self, split: SplitFiles, records: SplitRecords, notebook: Notebook) -> PartCounts:
        """Examine a split's photos, masks and maps, photo by photo."""
        index = self.indexes[split.photo_dir]
        layout = choose_layout((photo.file_name for photo in records.photos), index, records.partimagenet)
        self.remarks.append(f'{split.name}: photos {layout}, below {self.findings.name(split.photo_dir)}')
        maps = self.find_maps(split, records, notebook)
        counts = PartCounts(len(records.photos), records.annotations)
        counts.categories.update(dict.fromkeys(records.category_names.values(), 0))
        bar = None
        if len(records.photos) >= BAR_FROM and sys.stderr.isatty():
            bar = ProgressBar(len(records.photos), file=sys.stderr)
        for photo in records.photos:
            self.examine_photo(photo, layout, index, records.partimagenet, notebook)
            masks, complete = check_masks(photo, records.meanings, self.limits, notebook)
            map_path = maps.get(Path(photo.file_name).stem)
            if map_path:
                check_map(photo, masks, complete, records.meanings, map_path, self.limits, notebook)
            elif maps:
                notebook.add('missing-map', photo.record, photo.file_name, split.map_dir)
            counts.add_photo([int(coco_mask.area(mask.rle)) for mask in masks])
            counts.categories.update(records.category_names[part['category_id']] for part in photo.annotations
                                     if part['category_id'] in records.category_names)
            if wnid(photo.file_name) in load_synsets():
                counts.classes[wnid(photo.file_name)] += 1
            if bar is not None:
                bar.update()
        if bar is not None:
            print(file=sys.stderr)
        return counts

    def examine_photo(self, photo: PhotoRecord, layout: str, index: FileIndex, partimagenet: bool,
                      notebook: Notebook) -> None:
        """Find a photo's file and examine it."""
        others = [other for other in self.indexes.values() if other is not index]
        path, in_place = locate(photo, layout, index, others, notebook)
        self.named.add(path)
        digest = check_photo(photo, path, notebook, decode=self.decode) if in_place else None
        self.duplicates.add(digest, photo.file_name, path, notebook.split, photo.record, partimagenet)

    def find_maps(self, split: SplitFiles, records: SplitRecords, notebook: Notebook) -> dict[str, Path]:
        """Return the split's label maps by the photos' names without suffix; empty where they are not compared."""
        paths = {Path(path).stem: split.map_dir / path for path in sorted(index_files(split.map_dir, '.png').paths)}
        if not paths:
            self.remarks.append(f'{split.name}: no label maps')
            return {}
        if not records.partimagenet:
            self.remarks.append(f"{split.name}: label maps not compared; their labels are known for PartImageNet alone")
            return {}
        self.remarks.append(f'{split.name}: {len(paths):,} label maps compared')
        known = {Path(bare(photo.file_name)).stem for photo in records.photos}
        for stem in sorted(paths.keys() - known):
            notebook.add('extra-map', file=paths[stem])
        return paths

    def check_extra_photos(self) -> None:
        """Note files that no json names."""
        for folder, index in self.indexes.items():
            if folder in self.unread:
                continue
            split = next(split.name for split in self.splits if split.photo_dir == folder)
            for path in sorted(index.paths):
                if folder / path not in self.named:
                    self.findings.add('extra-photo', split=split, file=folder / path)
