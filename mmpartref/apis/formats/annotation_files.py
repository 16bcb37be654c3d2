"""Predictions as annotation files that labelling programs and trainers read."""
import json
import os
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from mmpartref.apis.formats.coco_results import CocoOutput
from mmpartref.apis.formats.label_studio_format import label_studio_task
from mmpartref.apis.formats.labelled_masks import FormatOptions, LabelledMask
from mmpartref.apis.formats.polygon_formats import labelme_document, yolo_lines
from mmpartref.argument_checks import check_choice
from mmpartref.errors import FileInTheWayError, InputError
from mmpartref.files.atomic_write import atomic_write, write_text
from mmpartref.images.image_url import is_url
from mmpartref.text import shown_name

Format = Literal['coco', 'yolo', 'labelme', 'label-studio']
FORMATS: tuple[str, ...] = get_args(Format)
# Names of the files of all images.
COMMON_FILES = {'coco': 'annotations.json', 'yolo': 'data.yaml', 'label-studio': 'label_studio.json'}
# Label Studio's address of files below its document root.
LOCAL_FILES = '/data/local-files/?d='


class AnnotationFiles:
    """Writes the masks of images in one format into a folder::

        coco           annotations.json        one json, RLE or polygons
        yolo           labels/<image>.txt      and data.yaml with the names
        labelme        labelme/<image>.json    one json per image, with the path to it
        label-studio   label_studio.json       tasks with predictions, to import

    Args:
        kind: one of ``FORMATS``.
        folder: to write into.
        expressions: the labels.
        info: of the model: ``'config'``, ``'checkpoint'``, ...
        options: how masks become annotations.
        polygons: of COCO, in place of RLE.
        image_url: address of the images' folder for Label Studio; the path below the folder is appended.
    """

    def __init__(self, kind: Format, folder: Path, expressions: Sequence[str], info: dict[str, Any],
                 options: FormatOptions, *, polygons: bool = False, image_url: str = LOCAL_FILES) -> None:
        check_choice(kind, 'format', FORMATS)
        self.kind = kind
        self.folder = folder
        self.names = list(dict.fromkeys(expressions))
        self.info = info
        self.options = options
        self.image_url = image_url
        self.coco = CocoOutput(self.names, info, options, polygons)
        self._tasks: list[dict[str, Any]] = []

    def file(self, stem: Path) -> Path | None:
        """Return the file of one image; None where there is one for all."""
        if self.kind == 'yolo':
            return self.folder / 'labels' / stem.with_name(f'{stem.name}.txt')
        if self.kind == 'labelme':
            return self.folder / 'labelme' / stem.with_name(f'{stem.name}.json')
        return None

    def files(self, stems: Iterable[Path]) -> list[Path]:
        """Return all files for images with these stems."""
        common = self.common_file
        return [*(file for stem in stems if (file := self.file(stem))), *([common] if common else [])]

    def add(self, name: str, source: str, stem: Path, size: tuple[int, int], masks: Sequence[LabelledMask],
            empty_masks: int) -> None:
        """Add, or write, the masks of one image. Arguments as of ``record``."""
        self.append(self.record(name, source, stem, size, masks, empty_masks))

    def record(self, name: str, source: str, stem: Path, size: tuple[int, int], masks: Sequence[LabelledMask],
               empty_masks: int) -> dict[str, Any] | None:
        """Return what ``append`` takes: the part of the file of all images; write the file of one image. Thread-safe.

        Args:
            name: path below the folder of the images.
            source: its path.
            stem: of its output files.
            size: (h, w).
            masks: those that are not empty.
            empty_masks: number of expressions with an empty mask.
        """
        if self.kind == 'coco':
            return self.coco.record(name, size, masks, empty_masks)
        split, tolerance = self.options.split(masks), self.options.tolerance
        if self.kind == 'label-studio':
            return label_studio_task(split, size, self.address(name), tolerance, model_version=model_name(self.info))
        file = self.file(stem)
        assert file is not None
        if self.kind == 'yolo':
            write_text(file, ''.join(f'{line}\n' for line in yolo_lines(split, size, self.names, tolerance)))
        else:
            # Links in either path would lead elsewhere.
            real = os.path.realpath(source), os.path.realpath(file.parent)
            path = os.path.relpath(*real) if os.path.exists(source) else source
            write_text(file, json.dumps(labelme_document(split, size, path, tolerance), indent=2) + '\n')
        return None

    def append(self, record: dict[str, Any] | None) -> None:
        """Add an image to the file of all images, if there is one."""
        if record is not None and self.kind == 'coco':
            self.coco.append(record)
        elif record is not None:
            self._tasks.append(record)

    def address(self, name: str) -> str:
        """Return the address of an image for Label Studio; that of a URL is the URL."""
        if is_url(name):
            return name
        slash = '' if self.image_url.endswith(('/', '=')) else '/'
        return f'{self.image_url}{slash}{urllib.parse.quote(name)}'

    def check_new(self, names: Mapping[Path, str], *, common: bool = True) -> None:
        """Check that no file exists, since it may have been corrected, and that YOLO's have the names of their images.

        Args:
            names: of the images, by their stem.
            common: also of the file of all images.

        Raises:
            FileInTheWayError: a file exists.
            InputError: two images differ in their suffix alone; YOLO looks for one text file.
        """
        for stem, name in names.items() if self.kind == 'yolo' else ():
            if not is_url(name) and Path(name).with_suffix('') != stem:
                raise InputError(f'YOLO looks for the labels of {shown_name(name)} in the same text file as for '
                                 'another image; rename one, or give one folder of images')
        for file in self.files(names):
            if file.exists() and (common or file != self.common_file):
                raise FileInTheWayError(f'{shown_name(str(file))} exists already, and may have been corrected: name '
                                        'another folder, or remove it')

    @property
    def common_file(self) -> Path | None:
        """The file of all images, if there is one."""
        name = COMMON_FILES.get(self.kind)
        return self.folder / name if name else None

    def finish(self, records: Callable[[], Iterable[dict[str, Any]]] | None = None) -> None:
        """Write the file of all images, if there is one; ``records`` as of ``CocoOutput.write``."""
        if self.kind == 'coco':
            self.coco.write(self.folder / COMMON_FILES['coco'], records)
        elif self.kind == 'label-studio':
            write_tasks(self.folder / COMMON_FILES['label-studio'], self._tasks if records is None else records())
        elif self.kind == 'yolo':
            # Not as escapes: YAML joins no surrogates.
            names = ''.join(f'  {number}: {json.dumps(name, ensure_ascii=False)}\n'
                            for number, name in enumerate(self.names))
            write_text(self.folder / COMMON_FILES['yolo'],
                       f'# Put or link the folder of the images next to labels/ as images/.\npath: '
                       f'{json.dumps(str(self.folder.resolve()))}\ntrain: images\nval: images\nnames:\n{names}')


def write_tasks(path: Path, tasks: Iterable[dict[str, Any]]) -> None:
    """Write tasks of Label Studio, indented by 2, with one of them in memory."""
    with atomic_write(path) as unfinished, unfinished.open('w', encoding='utf-8') as file:
        number = 0
        for number, task in enumerate(tasks, 1):
            text = json.dumps(task, indent=2).replace('\n', '\n  ')
            file.write(('[' if number == 1 else ',') + f'\n  {text}')
        file.write('\n]\n' if number else '[]\n')


def model_name(info: Mapping[str, Any]) -> str:
    """Return the name of a model: the stems of its checkpoint's folder and file, or of its config."""
    checkpoint = info.get('checkpoint')
    if checkpoint:
        return '/'.join(Path(checkpoint).with_suffix('').parts[-2:])
    return Path(info.get('config') or 'mmpartref').stem
