"""Inference on many images into files: masks, overlays, heat maps, label maps and one COCO json."""
import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.image_files import ImageFile
from mmpartref.apis.inferencer import PartReferInferencer
from mmpartref.apis.part_labels import PartLabels
from mmpartref.apis.results import ImageResults
from mmpartref.files.atomic_write import atomic_write
from mmpartref.images.read_image import DecodedImage
from mmpartref.progress import track
from mmpartref.tables import percent
from mmpartref.text import one_line, shown_name

# Longest side of an overlay, in pixels: its text is read on a screen.
OVERLAY_SIDE = 4096
# Bytes of an output's name, and of the image's name and the expression in it.
MAX_NAME, MAX_STEM, MAX_SLUG = 255, 200, 80
# Ends of other outputs' names.
HEAT, OVERLAY, PARTS = 'heat', 'overlay', 'parts'


@dataclass(frozen=True)
class OutputOptions:
    """The expressions to predict and the files to write.

    Attributes:
        expressions: predicted in each image.
        out_dir: output folder of the images.
        parse: write one label map of the expressions instead of a mask each.
        masks, overlays, heat_maps: whether they are written.
    """
    expressions: Sequence[str]
    out_dir: Path
    parse: bool = False
    masks: bool = True
    overlays: bool = True
    heat_maps: bool = False

    def file(self, stem: Path, kind: str) -> Path:
        """Return the path ``out_dir/<stem>_<kind>.png``; of a long stem with a hash in place of its end."""
        return self.out_dir / stem.with_name(f'{short_stem(stem.name)}_{kind}.png')

    def mask_files(self, stem: Path, number: int) -> tuple[Path, Path]:
        """Return the paths ``<stem>_<number>_<slug>.png`` and ``..._heat.png`` of an expression's mask and heat map."""
        room = MAX_NAME - len(os.fsencode(f'{short_stem(stem.name)}_{number}__{HEAT}.png'))
        kind = '_'.join(filter(None, (str(number), slug(self.expressions[number], min(room, MAX_SLUG)))))
        return self.file(stem, kind), self.file(stem, f'{kind}_{HEAT}')

    def files(self, stem: Path) -> list[Path]:
        """Return the paths of all outputs of an image."""
        files = [self.file(stem, OVERLAY)] if self.overlays else []
        if self.parse:
            files += [self.file(stem, PARTS)]
        for number in range(0 if self.parse else len(self.expressions)):
            mask, heat_map = self.mask_files(stem, number)
            files += [mask] * self.masks + [heat_map] * self.heat_maps
        return files


def short_stem(name: str) -> str:
    """Return an image's name, of at most ``MAX_STEM`` bytes: with a hash of all of it in place of the end."""
    encoded = os.fsencode(name)
    if len(encoded) <= MAX_STEM:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{encoded[:MAX_STEM - 9].decode(errors='ignore')}-{digest}"


def slug(expression: str, limit: int) -> str:
    """Return an expression as part of a file name: its letters and digits, of any script, and '-' for the rest.

    It is empty where there are none. It has no '_' and is not the end of another output's name, so that with the number
    in front of it the name is unique.

    Args:
        expression: to convert.
        limit: greatest length in bytes of UTF-8.
    """
    text = ''
    for each in unicodedata.normalize('NFC', expression):
        if len(text) > limit:
            break
        kind = unicodedata.category(each)[0]
        # Marks are the vowels of some scripts.
        if kind in 'LN' or (kind == 'M' and text[-1:] not in ('', '-')):
            text += each
        elif text[-1:] not in ('', '-'):
            text += '-'
    text = text.encode()[:max(0, limit - 1)].decode(errors='ignore').strip('-')
    return f'{text}-' if text.isdecimal() or text.lower() in (HEAT, OVERLAY, PARTS) else text


@dataclass
class BatchResult:
    """How many images were predicted, and which failed.

    Attributes:
        done: number of images predicted.
        failures: (image, reason) of the others, in order.
    """
    done: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


def predict_files(inferencer: PartReferInferencer, images: Sequence[ImageFile], options: OutputOptions, *,
                  coco: CocoOutput | None = None, batch_size: int = 1,
                  on_error: Literal['raise', 'skip'] = 'skip') -> BatchResult:
    """Predict the expressions in each image and write the outputs; print a line per mask, and the progress to stderr.

    Args:
        inferencer: the model.
        images: from ``find_images``.
        options: expressions and outputs.
        coco: receives every mask.
        batch_size: images per forward pass.
        on_error: skip an image that cannot be read, or stop at it.
    """
    result = BatchResult()
    for batch in readable_batches(inferencer, images, batch_size, on_error, result):
        stems = [stem for stem, _ in batch]
        decoded = [image for _, image in batch]
        if options.parse:
            labels = inferencer.parse_parts(decoded, expressions=options.expressions, batch_size=batch_size)
            for stem, each in zip(stems, labels, strict=True):
                write_labels(each, stem, options, coco)
        else:
            outputs = inferencer.stream(decoded, options.expressions, heat_map=options.heat_maps, batch_size=batch_size)
            for stem, results in zip(stems, outputs, strict=True):
                write_results(results, stem, options, coco)
        result.done += len(batch)
    return result


def readable_batches(inferencer: PartReferInferencer, images: Sequence[ImageFile], batch_size: int, on_error: str,
                     result: BatchResult) -> Iterator[list[tuple[Path, DecodedImage]]]:
    """Yield batches of (stem, image) of the readable images, and append the others to ``result.failures``."""
    batch: list[tuple[Path, DecodedImage]] = []
    for image in track(images, 'images'):
        try:
            batch.append((image.stem, inferencer.reader(image.source)))
        except (ValueError, OSError) as error:
            result.failures.append((image.source, str(error)))
            if on_error == 'raise':
                break
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def write_results(results: ImageResults, stem: Path, options: OutputOptions, coco: CocoOutput | None) -> None:
    """Write the masks, heat maps and overlay of an image, print a line per expression and add masks to ``coco``."""
    name = results.image.name
    for number, result in enumerate(results):
        target = ''
        mask_file, heat_file = options.mask_files(stem, number)
        if options.masks:
            write_png(Image.fromarray(result.mask.astype(np.uint8) * 255), mask_file)
            target = f' -> {mask_file}'
        if options.heat_maps:
            levels = np.rint(result.heat_map * 255).astype(np.uint8)
            write_png(Image.fromarray(levels), heat_file)
        # The number is the overlay's label where no font has the expression's letters.
        print(f'{shown_name(name)}: #{number} {one_line(result.expression)}: score {percent(result.score)}, '
              f'{result.mask.mean():.1%} of the image{target}')
    if options.overlays:
        write_png(results.overlay(OVERLAY_SIDE), options.file(stem, OVERLAY))
    if coco is not None:
        coco.add(name, results.size, [each.expression for each in results], [each.mask for each in results],
                 [each.score for each in results])


def write_labels(labels: PartLabels, stem: Path, options: OutputOptions, coco: CocoOutput | None) -> None:
    """Write and print the label map of one image."""
    file = options.file(stem, PARTS)
    write_png(labels.as_image(), file)
    print(f'{shown_name(labels.image.name)}: {labels.describe_shares()} -> {file}')
    if options.overlays:
        write_png(labels.overlay(OVERLAY_SIDE), options.file(stem, OVERLAY))
    if coco is not None:
        parts = labels.names[1:]
        coco.add(labels.image.name, labels.size, parts, [labels.mask(part) for part in parts])


def write_png(picture: Image.Image, path: Path) -> None:
    """Write a PNG atomically."""
    with atomic_write(path) as temporary:
        picture.save(temporary, 'PNG')
