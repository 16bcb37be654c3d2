"""The outputs for one image of a run: its files, the lines about it, and its part of the files for all images."""
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmengine.structures import BaseDataElement

from mmpartref.apis.doubt import Ranking
from mmpartref.apis.formats.annotation_files import AnnotationFiles
from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.image_files import ImageFile
from mmpartref.apis.inferencer import PartReferInferencer
from mmpartref.apis.output_files import (
    OVERLAY_SIDE,
    OutputOptions,
    count_expressions,
    write_labels,
    write_overlay,
    write_results,
)
from mmpartref.apis.part_labels import PartLabels
from mmpartref.apis.results import ImageResults
from mmpartref.images.read_image import DecodedImage
from mmpartref.structures import ReferringDataSample

# Kinds of records: of a COCO json, of a task of Label Studio, of a ranking.
COCO, TASK, DOUBT = 'coco', 'task', 'doubt'


@dataclass(frozen=True)
class ImageOutput:
    """What is left to do for an image after its files are written.

    Attributes:
        number: of the image.
        lines: to print.
        records: parts of the files for all images by kind, those that are asked for; values of JSON.
    """
    number: int
    lines: list[str]
    records: dict[str, Any]


@dataclass(frozen=True)
class ImageWriter:
    """Runs the model, and turns its output for an image into files and records; the latter in any thread.

    Attributes:
        inferencer: whose output it is.
        options: expressions and files.
        coco: json of all masks.
        annotations: files for other programs.
        ranking: by doubt; needs heat maps, and none of ``options.parse``.
    """
    inferencer: PartReferInferencer
    options: OutputOptions
    coco: CocoOutput | None = None
    annotations: AnnotationFiles | None = None
    ranking: Ranking | None = None

    def predict(self, images: Sequence[DecodedImage]) -> tuple[Sequence[ReferringDataSample],
                                                               Sequence[ReferringDataSample | None]]:
        """Return the model's outputs for a batch, and those for the ranking's second wordings."""
        samples = self.inferencer.predict(images, list(self.options.expressions))
        if self.ranking is None or not self.ranking.rewordings:
            return samples, [None] * len(images)
        return samples, [self.inferencer.predict([image], self.ranking.rewordings)[0] for image in images]

    def waiting_bytes(self, image: DecodedImage, sample: ReferringDataSample) -> int:
        """Return the memory of an image whose files are not written yet: its pixels, masks and heat maps."""
        heat_maps = self.options.heat_maps or self.ranking is not None
        pixels = image.pixels.nbytes // 3
        return 3 * pixels + tensor_bytes(sample) + heat_maps * 4 * pixels * len(self.options.expressions)

    def write(self, image: tuple[ImageFile, DecodedImage], sample: ReferringDataSample,
              reworded: ReferringDataSample | None) -> ImageOutput:
        """Write the files of an image; ``sample`` and ``reworded`` are what ``predict`` has for it."""
        file, pixels = image
        results: ImageResults | PartLabels
        if self.options.parse:
            results = self.inferencer.labels(pixels, sample)
            lines = [write_labels(results, file.stem, self.options)]
        else:
            results = self.inferencer.results(pixels, sample, self.options.heat_maps or self.ranking is not None)
            lines = write_results(results, file.stem, self.options)
        if self.options.overlays:
            write_overlay(results.overlay(OVERLAY_SIDE), file.stem, self.options)
        return ImageOutput(file.number, lines, self._records(file, results, reworded))

    def _records(self, file: ImageFile, results: ImageResults | PartLabels,
                 reworded: ReferringDataSample | None) -> dict[str, Any]:
        records: dict[str, Any] = {}
        masks = results.labelled_masks() if self.coco is not None or self.annotations is not None else []
        empty = count_expressions(results) - len(masks)
        if self.coco is not None:
            records[COCO] = self.coco.record(file.name, results.size, masks, empty)
        # Its json is the same.
        if self.annotations is not None and not (self.annotations.kind == 'coco' and COCO in records):
            found = self.annotations.record(file.name, file.source, file.stem, results.size, masks, empty)
            if found is not None:
                records[COCO if self.annotations.kind == 'coco' else TASK] = found
        if self.ranking is not None and isinstance(results, ImageResults):
            other = None if reworded is None else self.inferencer.results(results.image, reworded, False)
            records[DOUBT] = asdict(self.ranking.record(file.name, results, other))
        return records


def tensor_bytes(element: BaseDataElement) -> int:
    """Return the bytes of the tensors of a sample, those of its instances included."""
    return sum(tensor_bytes(each) if isinstance(each, BaseDataElement) else getattr(each, 'nbytes', 0)
               for each in element.values())
