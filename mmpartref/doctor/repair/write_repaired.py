"""Write a repaired json and the log of all changes."""
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpartref.datasets.coco.coco_document import read_json
from mmpartref.datasets.coco.finding_codes import ERROR
from mmpartref.datasets.coco.findings import Findings
from mmpartref.datasets.coco.record_faults import record_faults
from mmpartref.datasets.coco.records import split_category
from mmpartref.datasets.coco.validate import validate
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import IMAGE_LAYOUTS, name_partimagenet_category
from mmpartref.doctor.checks.check_images import read_header
from mmpartref.doctor.checks.check_names import looks_like_partimagenet
from mmpartref.doctor.layout import SPLITS, SplitFiles, choose_layout, find_splits, index_files
from mmpartref.doctor.repair.fix_records import RecordFixer
from mmpartref.errors import FileInTheWayError, InputError, MMPartRefError
from mmpartref.files.atomic_write import write_text
from mmpartref.files.plain_file import read_plain_file

# Errors of a split that are shown.
MAX_ERRORS = 3


@dataclass(frozen=True)
class RepairedSplit:
    """Result of a split's repair.

    Attributes:
        split: its name.
        changes: number of changed values by code.
        dropped: number of dropped records by code.
        errors: why the json does not load after the repair, as sentences; nothing was written then.
        ann_file, log_file: the new json and the log of all changes, where they were written.
    """
    split: str
    changes: Counter[str]
    dropped: Counter[str]
    errors: list[str]
    ann_file: Path | None = None
    log_file: Path | None = None


def check_outside(out: str | Path, root: str | Path, annotations: str | Path | None = None) -> None:
    """Check that an output is outside the folders that are examined.

    Raises:
        InputError: it is not.
    """
    for source in (Path(root) / 'images', Path(root) / 'annotations', *([Path(annotations)] if annotations else [])):
        if Path(out).resolve().is_relative_to(source.resolve()):
            raise InputError(f'{out} is in {source}, which is being examined; name another folder')


def check_out(out: str | Path, root: str | Path, annotations: str | Path | None = None) -> None:
    """Check that a repair overwrites nothing.

    Raises:
        FileInTheWayError: a file that would be written exists.
        InputError: ``out`` is the root, or in a folder that is being examined.
    """
    folder = Path(out)
    check_outside(out, root, annotations)
    if folder.resolve() == Path(root).resolve():
        raise InputError(f'{out} is being examined; name another folder for the repaired json')
    if folder.exists() and not folder.is_dir():
        raise FileInTheWayError(f'{out} is a file; name a folder for the repaired json')
    for split in SPLITS:
        for path in (folder / f'{split}.json', folder / f'{split}.repairs.jsonl'):
            if path.exists():
                raise FileInTheWayError(f'{path} exists and is not overwritten; name another folder')


def repair(root: str | Path, out: str | Path, annotations: str | Path | None = None) -> list[RepairedSplit]:
    """Repair the json of every split, and write those that load afterwards.

    Writes ``out/{split}.json`` and ``out/{split}.repairs.jsonl``, which has one change per line: ``{"code", "section",
    "id", "key", "old", "new"}``; where ``key`` is null, the record ``old`` was dropped.

    Args:
        root, annotations: as in ``examine``.
        out: folder to write, made if needed.

    Raises:
        FileInTheWayError, InputError: see ``check_out``.
        MissingFileError: there is no json.
    """
    check_out(out, root, annotations)
    folder = Path(out)
    results = []
    for split in find_splits(Path(root), Path(annotations) if annotations else None, Findings(root)):
        try:
            document = read_json(str(split.ann_file))
        except MMPartRefError as error:
            results.append(RepairedSplit(split.name, Counter(), Counter(), [str(error)]))
            continue
        repairs = RecordFixer(document, images_of_wrong_size(split, document)).fix()
        changes = Counter(change.code for change in repairs if change.key is not None)
        dropped = Counter(change.code for change in repairs if change.key is None)
        naming = name_partimagenet_category if looks_like_partimagenet(document) else split_category
        errors = [': '.join(filter(None, (finding.record, finding.message)))
                  for finding in validate(document, naming) if finding.severity == ERROR]
        if errors:
            results.append(RepairedSplit(split.name, changes, dropped, errors))
            continue
        ann_file, log_file = folder / f'{split.name}.json', folder / f'{split.name}.repairs.jsonl'
        write_text(log_file, ''.join(json.dumps(change.as_dict()) + '\n' for change in repairs))
        write_text(ann_file, json.dumps(document))
        results.append(RepairedSplit(split.name, changes, dropped, [], ann_file, log_file))
    return results


def images_of_wrong_size(split: SplitFiles, document: dict[str, Any]) -> set[int | str]:
    """Return the ids of images whose file, judged by its header, has another size than the json."""
    index = index_files(split.image_dir)
    images = [record for record in document['images'] if not any(record_faults(record, 'images'))]
    names = [record['file_name'].replace('\\', '/') for record in images]
    layout = IMAGE_LAYOUTS[choose_layout(names, index, looks_like_partimagenet(document))]
    found = set()
    for record, name in zip(images, names, strict=True):
        path = split.image_dir / layout(name)
        try:
            header = read_header(read_plain_file(path)) if os.path.isfile(path) else None
        except MMPartRefError:
            header = None
        if header is not None and (header.height, header.width) != (record['height'], record['width']):
            found.add(record['id'])
    return found


def format_repairs(splits: list[RepairedSplit]) -> str:
    """Return what was repaired, one line per split."""
    lines = []
    for split in splits:
        if split.errors:
            examples = '; '.join(split.errors[:MAX_ERRORS])
            more = f'; and {len(split.errors) - MAX_ERRORS:,} more' if len(split.errors) > MAX_ERRORS else ''
            lines.append(f'repaired  {split.split}: nothing was written, since {len(split.errors):,} errors have to be '
                         f'fixed by hand first: {examples}{more}')
            continue
        changed, dropped = (', '.join(f'{number:,} {code}' for code, number in sorted(counts.items()))
                            for counts in (split.changes, split.dropped))
        text = '; '.join(filter(None, (changed, f'records dropped: {dropped}' if dropped else '')))
        lines.append(f"repaired  {split.split}: {text or 'nothing to fix'}; {split.ann_file}, log {split.log_file}")
    return '\n'.join(lines)
