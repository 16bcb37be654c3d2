"""The images of a call of the inferencer, and what the call writes and shows."""
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.image_files import ImageFile, find_images, name_images, search_path
from mmpartref.apis.output_files import (
    OVERLAY_SIDE,
    OutputOptions,
    add_results,
    check_outputs,
    write_overlay,
    write_results,
)
from mmpartref.apis.results import ImageResults
from mmpartref.argument_checks import check_path, check_switch
from mmpartref.files.output_path import check_output_file, check_output_folder
from mmpartref.images.read_image import ImageLike

# File name of the COCO json in ``pred_out_dir``.
PREDICTIONS = 'predictions.json'


@dataclass(frozen=True)
class CallImages:
    """The images of a call: one, those of a list, or those of a folder or glob.

    Attributes:
        images: as ``ImageReader`` takes them.
        several: whether the call returns a list.
        files: sources and stems of the images of a folder or glob, otherwise None.
    """
    images: Sequence[ImageLike]
    several: bool
    files: Sequence[ImageFile] | None = None

    @classmethod
    def of(cls, image: ImageLike | list | tuple, out_dir: str = '') -> 'CallImages':
        """Return the images of an argument; raises as ``find_images``.

        Args:
            image: an image, a list of images, or the path of a folder or a glob.
            out_dir: folder whose images are skipped, or ''.
        """
        if isinstance(image, (list, tuple)):
            return cls(image, True)
        if path := search_path(image):
            files = find_images([path], out_dir or None)
            return cls([each.source for each in files], True, files)
        return cls([image], False)

    def named(self) -> Sequence[ImageFile]:
        """Return the source and stem of each image."""
        return name_images(self.images) if self.files is None else self.files


@dataclass(frozen=True)
class CallOptions:
    """What a call writes and shows.

    Attributes:
        out_dir: folder of masks, overlays and heat maps, or ''.
        pred_out_dir: folder of the COCO json, or ''.
        show: open each overlay in the system's image viewer.
        return_vis: set ``ImageResults.vis``.

    Raises:
        InputTypeError, MissingFileError: a value is of another type, or cannot be a path.
    """
    out_dir: str = ''
    pred_out_dir: str = ''
    show: bool = False
    return_vis: bool = False

    @classmethod
    def checked(cls, out_dir: object, pred_out_dir: object, show: object, return_vis: object) -> 'CallOptions':
        """Return the options of a call's arguments."""
        return cls(check_path(out_dir, 'out_dir'), check_path(pred_out_dir, 'pred_out_dir'),
                   check_switch(show, 'show'), check_switch(return_vis, 'return_vis'))


class CallOutputs:
    """Writes and shows the results of a call, one image at a time.

    Args:
        images: of the call.
        expressions: the queries.
        options: what to write and show.
        heat_maps: whether results have heat maps, which are written to ``options.out_dir`` too.
        info: for the COCO json; has ``'config'`` and ``'checkpoint'``, paths that are not overwritten, or None.

    Raises:
        InputError: an output is an input.
        FileInTheWayError, NotAFolderError, FileWriteError: an output cannot be written, see ``check_outputs``.
    """

    def __init__(self, images: CallImages, expressions: Sequence[str], options: CallOptions, *, heat_maps: bool,
                 info: dict[str, Any]) -> None:
        self.options = options
        files = bool(options.out_dir)
        self.outputs = OutputOptions(expressions, Path(options.out_dir), masks=files, overlays=files,
                                     heat_maps=files and heat_maps)
        self.json = os.path.join(options.pred_out_dir, PREDICTIONS) if options.pred_out_dir else ''
        self.coco = CocoOutput(expressions, info) if self.json else None
        self.named: Sequence[ImageFile] = ()
        if files or self.json:
            self.named = images.named()
            self._check([info[key] for key in ('config', 'checkpoint') if info[key]])

    def _check(self, inputs: list[str]) -> None:
        """Check that all outputs can be written, and that none is an image or one of ``inputs``."""
        for folder in filter(None, (self.options.out_dir, self.options.pred_out_dir)):
            check_output_folder(folder)
        check_outputs(self.outputs, [each.stem for each in self.named],
                      [*inputs, *(each.source for each in self.named)], self.json)
        if self.json:
            check_output_file(self.json)

    def add(self, number: int, results: ImageResults) -> None:
        """Write and show the results of the image with this index, and draw its ``vis``."""
        write, show, return_vis = self.outputs.overlays, self.options.show, self.options.return_vis
        if write:
            write_results(results, self.named[number].stem, self.outputs)
        if write or show or return_vis:
            picture = results.overlay(OVERLAY_SIDE)
            if write:
                write_overlay(picture, self.named[number].stem, self.outputs)
            if show:
                picture.show()
            if return_vis:
                results.vis = np.array(picture)
        if self.coco is not None:
            add_results(self.coco, self.named[number].name, results)

    def finish(self) -> None:
        """Write the COCO json, if there is one."""
        if self.coco is not None:
            self.coco.write(self.json)
