"""Paths and decoding of the images of a dump.

The paths come from a file, which may be untrusted: they must not lead out of the image folder. Links on the disk were
made by the user: links in the image folder are followed, and it may be one.
"""
import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path, PurePath, PureWindowsPath

import numpy as np

from mmpartref.errors import InputError, MissingFileError, NotAFolderError
from mmpartref.evaluation.dumps.predictions import ImagePredictions
from mmpartref.files.plain_file import read_plain_file
from mmpartref.images.decode_image import decode_image
from mmpartref.text import shown, shown_name


def image_paths(images: Sequence[ImagePredictions], root: str | Path | None) -> list[Path]:
    """Return the path of each image, whether it exists or not.

    Args:
        images: with ``img_path`` on the machine that wrote the dump.
        root: image folder of this machine. All images keep the same number of trailing folders of their paths below
            it: the number with which most images exist, the greatest of equals, so that images of equal names in
            different folders are not mixed up. A ``..`` in that part is rejected, so that no path leads out of the
            folder. None for the paths as they are, where ``..`` is rejected as well.

    Raises:
        ValueError: the dump has no paths, or a path has ``..``.
        NotADirectoryError: ``root`` is not a folder.
    """
    unnamed = [image.img_id for image in images if not image.img_path]
    if unnamed:
        raise InputError(f'the dump has no path of the image with img_id {shown(unnamed[0])}; write it again with '
                         'tools/test.py --dump')
    if root is None:
        for image in images:
            check_no_parent(image, Path(image.img_path).parts, 'give the image folder with --images')
        return [Path(image.img_path) for image in images]
    root = Path(root)
    if not root.is_dir():
        raise NotAFolderError(f'{root} is not a folder; give the image folder of the dump')
    tails = relative_parts(images)
    choices = [[root.joinpath(*tail[stripped:]) for tail in tails]
               for stripped in range(len(shared_folders(tails)) + 1)]
    found = [sum(map(os.path.isfile, choice)) for choice in choices]
    # Without any image the error message names the shortest path.
    return choices[found.index(max(found))] if any(found) else choices[-1]


def relative_parts(images: Sequence[ImagePredictions]) -> list[tuple[str, ...]]:
    """Return the parts of each image's path, without the root and without leading ``..`` that all paths share.

    With ``data_root='../data'`` all paths start with these two folders: the first is removed. If all start with ``..``
    but share no named folder after it, nothing is removed and the paths are rejected.

    Raises:
        ValueError: a path has another ``..``.
    """
    paths = [PurePath(image.img_path) for image in images]
    parts = [path.parts[1:] if path.anchor else path.parts for path in paths]
    shared = shared_folders(parts)
    leading = max((number for number, part in enumerate(shared, 1) if part == '..'), default=0)
    leading = leading if leading < len(shared) else 0
    tails = [each[leading:] for each in parts]
    for image, tail in zip(images, tails, strict=True):
        check_no_parent(image, tail, 'write the dump again with paths inside the image folder')
    return tails


def shared_folders(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the leading folders that all paths share."""
    return [names[0] for names in takewhile(lambda names: len(set(names)) == 1,
                                            zip(*(path[:-1] for path in paths), strict=False))]


def check_no_parent(image: ImagePredictions, parts: Sequence[str], advice: str) -> None:
    """Reject ``..`` in the parts of an image's path, with which a dump could copy any file into a gallery.

    Raises:
        ValueError: a part is ``..``.
    """
    if any('..' in PureWindowsPath(part).parts for part in parts):
        raise InputError(f'the image with img_id {shown(image.img_id)} has the path {shown_name(image.img_path)} in '
                         f"the dump, which leads out of its folder by '..'; {advice}")


def load_image(path: Path, image: ImagePredictions) -> np.ndarray:
    """Read an image as RGB uint8 (h, w, 3), rotated by its EXIF orientation as for the model.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is not a plain file, cannot be decoded, or has another size than the dump's masks.
    """
    name = f'image {shown_name(str(path))} (img_id {shown(image.img_id)})'
    try:
        content = read_plain_file(path, name)
    except FileNotFoundError:
        raise MissingFileError(f'{name} does not exist; give the image folder with --images, or skip missing images '
                               'with --on-missing-image skip') from None
    pixels = decode_image(content, name)
    if pixels.shape[:2] != image.ori_shape:
        found, expected = (f'{height} x {width}' for height, width in (pixels.shape[:2], image.ori_shape))
        raise InputError(f'{shown_name(str(path))} is {found} pixels (height x width) but the dump has {expected}; '
                         'give the images of the dump with --images')
    return pixels
