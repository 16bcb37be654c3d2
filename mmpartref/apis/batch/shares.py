"""Shares of a run: a block of the images for each process, and one json from what they write."""
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from mmpartref.apis.batch.journal import VERSION, header_difference, list_lines
from mmpartref.apis.formats.annotation_files import write_tasks
from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.errors import FileInTheWayError, InputError, MissingFileError
from mmpartref.files.atomic_write import atomic_write
from mmpartref.text import shown_name

Item = TypeVar('Item')
# Keys of a share's header that the others' need not have.
OWN_KEYS = ('share', 'finished')
# Keys of an image's record, by its kind.
RECORD_KEYS = {'coco': {'image', 'annotations', 'empty_masks'}, 'task': {'data', 'predictions'}}


@dataclass(frozen=True)
class Share:
    """A block of the images of a run.

    Attributes:
        index: of the block, from 0.
        count: number of blocks.
    """
    index: int = 0
    count: int = 1

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the items of the block; all blocks together are all items, in order."""
        total = len(items)
        return items[total * self.index // self.count:total * (self.index + 1) // self.count]

    def path(self, path: str | Path, suffix: str | None = None) -> Path:
        """Return the path of a share's file in place of that of the whole run: ``found.2-of-4.jsonl``.

        Args:
            path: of the whole run: ``found.json``.
            suffix: of the file; None for that of ``path``.
        """
        path = Path(path)
        if self.count == 1:
            return path
        return path.with_name(f'{path.stem}.{self}{path.suffix if suffix is None else suffix}')

    def __str__(self) -> str:
        return f'{self.index + 1}-of-{self.count}'


def share_of_process(share: tuple[int, int] | None, environment: Mapping[str, str] = os.environ) -> Share:
    """Return the share of this process: of --shard, and under torchrun of its rank; where both are given, its rank's
    part of the former."""
    index, count = share or (0, 1)
    size = int(environment.get('WORLD_SIZE', 1))
    return Share(index * size + int(environment.get('RANK', 0)), count * size) if size > 1 else Share(index, count)


def device_of_process(device: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a device; under torchrun in place of ``'auto'`` the GPU of the local rank, where there are GPUs."""
    if device == 'auto' and int(environment.get('WORLD_SIZE', 1)) > 1 and torch.cuda.is_available():
        return f"cuda:{int(environment.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
    return device


def write_share(path: Path, header: Mapping[str, Any], kind: str, counts: tuple[int, int],
                lines: Iterable[Mapping[str, Any]]) -> None:
    """Write the part of a share in a file of all images, for ``merge_shares``.

    Args:
        path: from ``Share.path``.
        header: of the journal.
        kind: of the records: ``'coco'`` or ``'task'``.
        counts: numbers of images that are done and that failed.
        lines: of the journal.
    """
    with atomic_write(path) as unfinished, unfinished.open('w', encoding='utf-8') as file:
        finished = {'kind': kind, 'done': counts[0], 'failed': counts[1]}
        file.write(json.dumps({'journal': VERSION, **header, 'finished': finished}) + '\n')
        for line in lines:
            file.write(json.dumps({'image': line['image'], kind: line[kind]}) + '\n')


@dataclass(frozen=True)
class FinishedShare:
    """A file of ``write_share``.

    Attributes:
        path: of the file.
        header: its first line.
    """
    path: Path
    header: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> 'FinishedShare':
        """Return a file, of which every line has been read.

        Raises:
            InputError: it is damaged, or not all images of the share were predicted.
        """
        name = shown_name(str(path))
        try:
            with path.open('rb') as file:
                lines = list_lines(file, name)
                header = next(lines)[2]
                kind, done, failed = (header['finished'][key] for key in ('kind', 'done', 'failed'))
                expected = len(Share(**header['share']).of(range(header['images'])))
                found = sum(1 for _, _, line in lines if line[kind].keys() >= RECORD_KEYS[kind])
        except (StopIteration, KeyError, TypeError, AttributeError):
            raise InputError(f'{name} is not the output of a share; run that share again') from None
        if found != done or found + failed != expected:
            raise InputError(f'{name} has {found + failed:,} of its {expected:,} images; run that share again')
        return cls(path, header)

    def records(self) -> Iterator[Any]:
        """Yield the record of each image, in order."""
        kind = self.header['finished']['kind']
        with self.path.open('rb') as file:
            lines = list_lines(file, shown_name(str(self.path)))
            next(lines)
            yield from (line[kind] for _, _, line in lines)


def is_finished(path: Path, header: Mapping[str, Any]) -> bool:
    """Return whether a share of this run has been written."""
    if not path.is_file():
        return False
    found = {key: value for key, value in FinishedShare.read(path).header.items() if key != 'finished'}
    return not header_difference(found, {'journal': VERSION, **json.loads(json.dumps(header))})


@dataclass(frozen=True)
class Merged:
    """Numbers of a merged file.

    Attributes:
        shares: that it was made of.
        images: that were predicted.
        failed: images that were not.
    """
    shares: int
    images: int
    failed: int


def merge_shares(path: str | Path) -> Merged:
    """Write the file of a whole run from those of its shares, with one image in memory.

    It equals that of one process, up to the rounding of sums where batches of several images end elsewhere.

    Args:
        path: of the whole run, ``found.json``, next to its shares, ``found.1-of-4.jsonl`` and so on.

    Raises:
        MissingFileError: there is no share, or one is missing.
        FileInTheWayError: the file exists.
        InputError: a share is damaged, incomplete or of another run.
    """
    path = Path(path)
    if path.exists():
        raise FileInTheWayError(f'{shown_name(str(path))} exists already; move or remove it')
    shares = [FinishedShare.read(each) for each in find_shares(path)]
    header = shares[0].header
    for other in shares[1:]:
        if difference := header_difference(*({key: value for key, value in each.header.items() if key not in OWN_KEYS}
                                             for each in (shares[0], other))):
            raise InputError(f'{shown_name(str(shares[0].path))} (there) and {shown_name(str(other.path))} (here) are '
                             f'of different runs: {difference}; run one of them again')
    records = partial(chain_records, shares)
    if header['finished']['kind'] == 'coco':
        CocoOutput(header['expressions'], header['info']).write(path, records)
    else:
        write_tasks(path, records())
    done, failed = (sum(each.header['finished'][key] for each in shares) for key in ('done', 'failed'))
    return Merged(len(shares), done, failed)


def chain_records(shares: Iterable[FinishedShare]) -> Iterator[Any]:
    """Yield the records of all images."""
    for each in shares:
        yield from each.records()


def find_shares(path: Path) -> list[Path]:
    """Return the files of all shares of a file, in order.

    Raises:
        MissingFileError: there is none, or one is missing.
        InputError: there are those of runs with different numbers of shares.
    """
    pattern = re.compile(re.escape(path.stem) + r'\.([0-9]+)-of-([0-9]+)\.jsonl')
    matches = [match for file in path.parent.glob('*.jsonl') if (match := pattern.fullmatch(file.name))]
    counts = {int(match[2]) for match in matches}
    if not counts:
        raise MissingFileError(f'there is no share of {shown_name(str(path))}, {path.stem}.1-of-2.jsonl for example; '
                               'run tools/infer.py with --shard first')
    if len(counts) > 1:
        raise InputError(f'{shown_name(str(path))} has shares of {min(counts)} and of {max(counts)}; remove those of '
                         'one run')
    (count, ) = counts
    found = [Share(index, count).path(path, '.jsonl') for index in range(count)]
    missing = [each.name for each in found if not each.is_file()]
    if missing:
        more = f' and {len(missing) - 1} more' if missing[1:] else ''
        raise MissingFileError(f'{shown_name(missing[0])}{more} of {count} shares is missing; wait for it, or run it')
    return found

