"""Many photos into files: masks, overlays, heat maps, maps of labels, and one COCO json."""
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.image_files import FoundPhoto
from mmpartref.apis.inferencer import PartReferInferencer
from mmpartref.apis.part_labels import PartLabels
from mmpartref.apis.results import PhotoResults
from mmpartref.files.atomic_write import atomic_write
from mmpartref.images.read_image import Photo

# Longest side of an overlay, in pixels: its words are read on a screen.
OVERLAY_SIDE = 4096


@dataclass(frozen=True)
class Wanted:
    """What is asked of every photo, and what is written.

    Attributes:
        expressions: what to look for.
        out_dir: where the pictures go.
        parse: make one map of labels of the expressions, in place of a mask each.
        masks, overlays, heat_maps: whether they are written.
    """
    expressions: Sequence[str]
    out_dir: Path
    parse: bool = False
    masks: bool = True
    overlays: bool = True
    heat_maps: bool = False

    def file(self, stem: Path, kind: str) -> Path:
        """Return the file of a photo's picture: 'overlay', 'parts', an expression's number, or that and '_heat'."""
        return self.out_dir / stem.with_name(f'{stem.name}_{kind}.png')

    def files(self, stem: Path) -> list[Path]:
        """Return all files that a photo's answers may go to."""
        kinds = ['overlay'] if self.overlays else []
        if self.parse:
            kinds += ['parts']
        for number in range(0 if self.parse else len(self.expressions)):
            kinds += [str(number)] * self.masks + [f'{number}_heat'] * self.heat_maps
        return [self.file(stem, kind) for kind in kinds]


@dataclass
class Outcome:
    """How a run went.

    Attributes:
        done: photos answered.
        failures: (photo, reason) of the others, in order.
    """
    done: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


def run(inferencer: PartReferInferencer, photos: Sequence[FoundPhoto], wanted: Wanted, *,
        coco: CocoOutput | None = None, batch_size: int = 1, on_error: Literal['raise', 'skip'] = 'skip') -> Outcome:
    """Ask about every photo and write the answers; prints a line per answer, and progress to stderr.

    Args:
        inferencer: answers.
        photos: from ``find_photos``.
        wanted: what is asked and written.
        coco: gets every mask.
        batch_size: photos that share a forward pass.
        on_error: what a photo does that cannot be read: ``'skip'`` goes on without it, ``'raise'`` stops there.
    """
    outcome, progress = Outcome(), Progress(len(photos))
    for batch in readable(inferencer, photos, batch_size, on_error, outcome):
        stems = [stem for stem, _ in batch]
        images = [photo for _, photo in batch]
        if wanted.parse:
            labels = inferencer.parse_parts(images, expressions=wanted.expressions, batch_size=batch_size)
            for stem, each in zip(stems, labels, strict=True):
                write_labels(each, stem, wanted, coco)
        else:
            answers = inferencer.stream(images, wanted.expressions, heat_map=wanted.heat_maps, batch_size=batch_size)
            for stem, results in zip(stems, answers, strict=True):
                write_results(results, stem, wanted, coco)
        outcome.done += len(batch)
        progress.show(outcome.done + len(outcome.failures))
    return outcome


def readable(inferencer: PartReferInferencer, photos: Sequence[FoundPhoto], batch_size: int,
             on_error: str, outcome: Outcome) -> Iterator[list[tuple[Path, Photo]]]:
    """Yield batches of the photos that can be read; the others go into ``outcome``."""
    batch: list[tuple[Path, Photo]] = []
    for found in photos:
        try:
            batch.append((found.stem, inferencer.reader(found.source)))
        except (ValueError, OSError) as error:
            outcome.failures.append((found.source, str(error)))
            if on_error == 'raise':
                break
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def write_results(results: PhotoResults, stem: Path, wanted: Wanted, coco: CocoOutput | None) -> None:
    """Write and print the answers about one photo."""
    for number, result in enumerate(results):
        where = ''
        if wanted.masks:
            file = wanted.file(stem, str(number))
            write_picture(Image.fromarray(result.mask.astype(np.uint8) * 255), file)
            where = f' -> {file}'
        if wanted.heat_maps:
            levels = np.rint(result.heat_map * 255).astype(np.uint8)
            write_picture(Image.fromarray(levels), wanted.file(stem, f'{number}_heat'))
        print(f'{results.photo.name}: {result.expression}: score {result.score:.3f}, {result.mask.mean():.1%} of the '
              f'photo{where}')
    if wanted.overlays:
        write_picture(results.overlay(OVERLAY_SIDE), wanted.file(stem, 'overlay'))
    if coco is not None:
        coco.add(results.photo.name, results.size, [each.expression for each in results],
                 [each.mask for each in results], [each.score for each in results])


def write_labels(labels: PartLabels, stem: Path, wanted: Wanted, coco: CocoOutput | None) -> None:
    """Write and print one photo's map of labels."""
    file = wanted.file(stem, 'parts')
    write_picture(labels.as_image(), file)
    print(f'{labels.photo.name}: {labels.shares()} -> {file}')
    if wanted.overlays:
        write_picture(labels.overlay(OVERLAY_SIDE), wanted.file(stem, 'overlay'))
    if coco is not None:
        parts = labels.names[1:]
        coco.add(labels.photo.name, labels.size, parts, [labels.mask(part) for part in parts])


def write_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG whole or not at all."""
    with atomic_write(path) as unfinished:
        picture.save(unfinished, 'PNG')


class Progress:
    """Counts photos on stderr: on one line of a terminal, elsewhere in about ten lines; nothing for a single photo."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.shown = 0

    def show(self, done: int) -> None:
        """Say how many are done."""
        last = done == self.total
        if self.total == 1 or done == self.shown:
            return
        if sys.stderr.isatty():
            print(f'\r{done} of {self.total} photos', end='\n' if last else '', file=sys.stderr, flush=True)
        elif not last and (done - self.shown) * 10 < self.total:
            return
        else:
            print(f'{done} of {self.total} photos', file=sys.stderr, flush=True)
        self.shown = done
