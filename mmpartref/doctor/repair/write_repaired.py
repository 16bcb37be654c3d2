"""Writing a mended json and the log of what was changed."""
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mmpartref.datasets.coco.findings import Findings
from mmpartref.datasets.coco.read_coco import read_json
from mmpartref.doctor.layout import SPLITS, find_splits
from mmpartref.doctor.repair.fix_records import RecordMender
from mmpartref.errors import FileInTheWayError, InputError
from mmpartref.files.atomic_write import atomic_write


@dataclass(frozen=True)
class RepairedSplit:
    """A split's new json and log, with the number of changes by code; without files where it could not be read."""
    split: str
    ann_file: Path | None
    log_file: Path | None
    changes: Counter[str]


def check_outside(out: str | Path, root: str | Path, annotations: str | Path | None = None) -> None:
    """Make sure that an output does not lie in a folder that is being examined.

    Raises:
        ValueError: it does.
    """
    for source in (Path(root) / 'images', Path(root) / 'annotations', *([Path(annotations)] if annotations else [])):
        if Path(out).resolve().is_relative_to(source.resolve()):
            raise InputError(f'{out} lies in {source}, which is being examined; name another folder')


def check_out(out: str | Path, root: str | Path, annotations: str | Path | None = None) -> None:
    """Make sure that a repair will change nothing that is there.

    Raises:
        FileExistsError: a file that would be written exists.
        ValueError: ``out`` is the root, or lies in a folder that is being examined.
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
    """Mend every json that can be read.

    Writes ``out/{split}.json`` and ``out/{split}.repairs.jsonl``, which has one change per line: ``{"code", "section",
    "id", "key", "old", "new"}``; where ``key`` is null, the record ``old`` was dropped.

    Args:
        root, annotations: as in ``examine``.
        out: folder to write, made if needed.

    Raises:
        FileExistsError, ValueError: see ``check_out``.
        FileNotFoundError: there is no json.
    """
    check_out(out, root, annotations)
    folder = Path(out)
    splits = find_splits(Path(root), Path(annotations) if annotations else None, Findings(root))
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    for split in splits:
        try:
            document = read_json(str(split.ann_file))
        except (OSError, ValueError, RecursionError):
            done.append(RepairedSplit(split.name, None, None, Counter()))
            continue
        repairs = RecordMender(document).mend()
        ann_file, log_file = folder / f'{split.name}.json', folder / f'{split.name}.repairs.jsonl'
        with atomic_write(log_file) as unfinished:
            unfinished.write_text(''.join(json.dumps(change.as_dict()) + '\n' for change in repairs), encoding='utf-8')
        with atomic_write(ann_file) as unfinished:
            unfinished.write_text(json.dumps(document), encoding='utf-8')
        done.append(RepairedSplit(split.name, ann_file, log_file, Counter(change.code for change in repairs)))
    return done


def format_repairs(splits: list[RepairedSplit]) -> str:
    """Return what was repaired, one line per split."""
    lines = []
    for split in splits:
        if split.ann_file is None:
            lines.append(f'repaired  {split.split}: its json cannot be read; nothing was written')
            continue
        told = ', '.join(f'{number:,} {code}' for code, number in sorted(split.changes.items())) or 'nothing to mend'
        lines.append(f'repaired  {split.split}: {told}; {split.ann_file}, log {split.log_file}')
    return '\n'.join(lines)
