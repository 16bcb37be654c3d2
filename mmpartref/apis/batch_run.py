"""Inference on many images into files: masks, overlays, heat maps, label maps and one COCO json."""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.image_files import ImageFile
from mmpartref.apis.inferencer import PartReferInferencer
from mmpartref.apis.output_files import (
    OVERLAY_SIDE,
    OutputOptions,
    add_results,
    write_labels,
    write_overlay,
    write_results,
)
from mmpartref.apis.part_labels import PartLabels
from mmpartref.apis.results import ImageResults
from mmpartref.images.read_image import DecodedImage
from mmpartref.progress import track


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
                output_labels(each, stem, options, coco)
        else:
            outputs = inferencer.stream(decoded, options.expressions, heat_map=options.heat_maps, batch_size=batch_size)
            for stem, results in zip(stems, outputs, strict=True):
                output_results(results, stem, options, coco)
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


def output_results(results: ImageResults, stem: Path, options: OutputOptions, coco: CocoOutput | None) -> None:
    """Write and print the results of one image."""
    for line in write_results(results, stem, options):
        print(line)
    if options.overlays:
        write_overlay(results.overlay(OVERLAY_SIDE), stem, options)
    if coco is not None:
        add_results(coco, results.image.name, results)


def output_labels(labels: PartLabels, stem: Path, options: OutputOptions, coco: CocoOutput | None) -> None:
    """Write and print the label map of one image."""
    print(write_labels(labels, stem, options))
    if options.overlays:
        write_overlay(labels.overlay(OVERLAY_SIDE), stem, options)
    if coco is not None:
        parts = labels.names[1:]
        coco.add(labels.image.name, labels.size, parts, [labels.mask(part) for part in parts])
