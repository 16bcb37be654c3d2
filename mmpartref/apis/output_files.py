"""Files with the predictions for an image: masks, heat maps, label maps, overlays; their names and checks."""
import hashlib
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mmpartref.apis.formats.annotation_files import AnnotationFiles
from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.part_labels import PartLabels
from mmpartref.apis.results import ImageResults
from mmpartref.errors import InputError
from mmpartref.files.atomic_write import atomic_write
from mmpartref.files.output_path import check_not_inputs, check_output_file
from mmpartref.tables import percent
from mmpartref.text import one_line, shown_name
from mmpartref.visualization.overlay import OVERLAY_COMPRESSION

# Longest side of an overlay, in pixels: its text is read on a screen.
OVERLAY_SIDE = 4096
# zlib's level of compression of a mask, which would be twice as large with that of an overlay.
COMPRESSION = 6
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


def check_outputs(options: OutputOptions, stems: Iterable[Path], inputs: Iterable[str], json: str = '',
                  annotations: AnnotationFiles | None = None) -> list[Path]:
    """Check that all outputs of some images can be written, and return their paths.

    Args:
        options: expressions and outputs.
        stems: of the images, from ``find_images`` or ``name_images``.
        inputs: files that must not be overwritten.
        json: path of one more output, or ''.
        annotations: whose files are outputs, too.

    Raises:
        InputError: an output is an input, or ``json`` is one of the other outputs or a folder of them.
        FileInTheWayError, NotAFolderError, FileWriteError: see ``check_output_file``.
    """
    stems = list(stems)
    outputs = [file for stem in stems for file in options.files(stem)]
    if annotations is not None:
        outputs += annotations.files(stems)
    check_not_inputs([*outputs, *([json] if json else [])], inputs)
    for file in outputs:
        check_output_file(str(file))
    if json and any(Path(json).absolute() in (file, *file.parents) for file in map(Path.absolute, outputs)):
        raise InputError(f'{shown_name(json)} is also an output in {shown_name(str(options.out_dir))}; write the json '
                         'to another file')
    return outputs


def write_results(results: ImageResults, stem: Path, options: OutputOptions) -> list[str]:
    """Write the masks and heat maps of an image; return a line about each expression."""
    lines = []
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
        lines.append(f'{shown_name(results.image.name)}: #{number} {one_line(result.expression)}: score '
                     f'{percent(result.score)}, {result.mask.mean():.1%} of the image{target}')
    return lines


def write_labels(labels: PartLabels, stem: Path, options: OutputOptions) -> str:
    """Write the label map of an image; return a line about it."""
    file = options.file(stem, PARTS)
    write_png(labels.as_image(), file)
    return f'{shown_name(labels.image.name)}: {labels.describe_shares()} -> {file}'


def write_overlay(picture: Image.Image, stem: Path, options: OutputOptions) -> None:
    """Write the overlay of an image, see ``OVERLAY_SIDE`` and ``OVERLAY_COMPRESSION``."""
    write_png(picture, options.file(stem, OVERLAY), OVERLAY_COMPRESSION)


def write_png(picture: Image.Image, path: Path, compression: int = COMPRESSION) -> None:
    """Write a PNG atomically, with zlib's level of compression."""
    with atomic_write(path) as temporary:
        picture.save(temporary, 'PNG', compress_level=compression)


def add_results(coco: CocoOutput, name: str, results: ImageResults | PartLabels) -> None:
    """Add the masks of an image to a COCO json, with its file name there."""
    masks = results.labelled_masks()
    coco.add(name, results.size, masks, count_expressions(results) - len(masks))


def count_expressions(results: ImageResults | PartLabels) -> int:
    """Return the number of expressions of an image's results."""
    return len(results) if isinstance(results, ImageResults) else len(results.names) - 1
