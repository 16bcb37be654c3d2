"""Inference on many images into files: masks, overlays, heat maps, label maps and one COCO json."""
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mmpartref.apis.doubt import Ranking
from mmpartref.apis.formats.annotation_files import AnnotationFiles
from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.image_files import ImageFile
from mmpartref.apis.inferencer import PartReferInferencer
from mmpartref.apis.output_files import (
    OVERLAY_SIDE,
    OutputOptions,
    add_annotations,
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
                  coco: CocoOutput | None = None, annotations: AnnotationFiles | None = None,
                  ranking: Ranking | None = None, batch_size: int = 1,
                  on_error: Literal['raise', 'skip'] = 'skip') -> BatchResult:
    """Predict the expressions in each image and write the outputs; print a line per mask, and the progress to stderr.

    Args:
        inferencer: the model.
        images: from ``find_images``.
        options: expressions and outputs.
        coco: receives every mask.
        annotations: receives every mask, too.
        ranking: receives the results of every image, with heat maps.
        batch_size: images per forward pass.
        on_error: skip an image that cannot be read, or stop at it.
    """
    result = BatchResult()
    for batch in readable_batches(inferencer, images, batch_size, on_error, result):
        files = [file for file, _ in batch]
        decoded = [image for _, image in batch]
        for file, results in zip(files, predict_batch(inferencer, decoded, options, ranking is not None),
                                 strict=True):
            output_image(results, file, options)
            if coco is not None:
                add_results(coco, file.name, results)
            if annotations is not None:
                add_annotations(annotations, file, results)
            if ranking is not None and isinstance(results, ImageResults):
                ranking.add(file.name, results)
        result.done += len(batch)
    return result


def predict_batch(inferencer: PartReferInferencer, images: list[DecodedImage],
                  options: OutputOptions, heat_maps: bool) -> Iterable[ImageResults | PartLabels]:
    """Return the results of a batch, with heat maps if they are written or ``heat_maps`` is set; or label maps."""
    if options.parse:
        return inferencer.parse_parts(images, expressions=options.expressions, batch_size=len(images))
    return inferencer.stream(images, options.expressions, heat_map=options.heat_maps or heat_maps,
                             batch_size=len(images))


def readable_batches(inferencer: PartReferInferencer, images: Sequence[ImageFile], batch_size: int, on_error: str,
                     result: BatchResult) -> Iterator[list[tuple[ImageFile, DecodedImage]]]:
    """Yield batches of (file, image) of the readable images, and append the others to ``result.failures``."""
    batch: list[tuple[ImageFile, DecodedImage]] = []
    for image in track(images, 'images'):
        try:
            batch.append((image, inferencer.reader(image.source)))
        except (ValueError, OSError) as error:
            result.failures.append((image.source, str(error)))
            if on_error == 'raise':
                break
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def output_image(results: ImageResults | PartLabels, file: ImageFile, options: OutputOptions) -> None:
    """Write and print the results of one image."""
    if isinstance(results, PartLabels):
        print(write_labels(results, file.stem, options))
    else:
        for line in write_results(results, file.stem, options):
            print(line)
    if options.overlays:
        write_overlay(results.overlay(OVERLAY_SIDE), file.stem, options)
