"""The images of a dump: where they are, and how they are read.

The paths come from a file, which can be from somebody else: they may not lead out of the image folder. Links on the
disk were made by the user: those in the image folder are followed, and the image folder can be one.
"""
import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path, PurePath, PureWindowsPath

import cv2
import numpy as np

from mmpartref.errors import InputError, MissingFileError, NotAFolderError
from mmpartref.evaluation.dumps.predictions import PhotoPredictions
from mmpartref.files.plain_file import read_plain_file
from mmpartref.images.decode_image import decode_photo
from mmpartref.text import shown, shown_name


def photo_paths(photos: Sequence[PhotoPredictions], root: str | Path | None) -> list[Path]:
    """Return where each photo should lie.

    Args:
        photos: with ``img_path`` as it was where the dump was written.
        root: a folder to look in instead. All photos keep the same number of folders of their path below it: the
            number with which most of them are found, and the greatest of equals, so that two photos of the same name
            in different folders are never mixed up. A path with ``..`` in that part is rejected, so that none leads out
            of the folder. None: the paths as they are, none with ``..``.

    Raises:
        ValueError: the dump was written without paths, or one of them has ``..``; names the image.
        NotADirectoryError: ``root`` is no folder.
    """
    unnamed = [photo.img_id for photo in photos if not photo.img_path]
    if unnamed:
        raise InputError(f'the dump does not say where the photo with img_id {shown(unnamed[0])} lies; write it again '
                         'with tools/test.py --dump')
    if root is None:
        for photo in photos:
            check_climb(photo, Path(photo.img_path).parts, 'name the image folder with --photos')
        return [Path(photo.img_path) for photo in photos]
    root = Path(root)
    if not root.is_dir():
        raise NotAFolderError(f'{root} is not a folder; give the one with the photos of the dump')
    tails = below_the_climb(photos)
    most = len(shared_folders(tails))
    choices = [[root.joinpath(*tail[stripped:]) for tail in tails] for stripped in range(most + 1)]
    found = [sum(map(os.path.isfile, choice)) for choice in choices]
    # Where nothing is found, the photos' names right below the root make the shortest sentence.
    return choices[found.index(max(found))] if any(found) else choices[-1]


def below_the_climb(photos: Sequence[PhotoPredictions]) -> list[tuple[str, ...]]:
    """Return the parts of each image's path, without the root and without the ``..`` that all paths begin with.

    With ``data_root='../data'`` all paths begin with these two folders: the first is removed. Where all begin with
    ``..`` but have no named folder in common after it, nothing is removed and the paths are rejected.

    Raises:
        ValueError: a path has another ``..``; names the image.
    """
    paths = [PurePath(photo.img_path) for photo in photos]
    parts = [path.parts[1:] if path.anchor else path.parts for path in paths]
    shared = shared_folders(parts)
    climb = max((number for number, part in enumerate(shared, 1) if part == '..'), default=0)
    climb = climb if climb < len(shared) else 0
    tails = [each[climb:] for each in parts]
    for photo, tail in zip(photos, tails, strict=True):
        check_climb(photo, tail, 'write the dump again with paths inside the image folder')
    return tails


def shared_folders(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the folders that all paths begin with."""
    return [names[0] for names in takewhile(lambda names: len(set(names)) == 1,
                                            zip(*(path[:-1] for path in paths), strict=False))]


def check_climb(photo: PhotoPredictions, parts: Sequence[str], advice: str) -> None:
    """Reject ``..`` in the parts of an image's path: with it a dump copies other files than images into a gallery.

    Raises:
        ValueError: one of ``parts`` has it; names the image and its path.
    """
    if any('..' in PureWindowsPath(part).parts for part in parts):
        raise InputError(f'the image with img_id {shown(photo.img_id)} has the path {shown_name(photo.img_path)} in '
                         f"the dump, which leads out of its folder by '..'; {advice}")


def read_photo(path: Path, photo: PhotoPredictions) -> np.ndarray:
    """Return RGB uint8 (h, w, 3), turned by its EXIF orientation as the model saw it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a plain file, it cannot be decoded, or it has another size than the dump's masks.
    """
    name = f'image {shown_name(str(path))} (img_id {shown(photo.img_id)})'
    try:
        content = read_plain_file(path, name)
    except FileNotFoundError:
        raise MissingFileError(f'{name} does not exist; say with --photos where the photos lie, or leave such '
                               'expressions out with --on-missing-photo skip') from None
    image = decode_photo(content, name)
    if image.shape[:2] != photo.ori_shape:
        found, wanted = (f'{height} x {width}' for height, width in (image.shape[:2], photo.ori_shape))
        raise InputError(f'{shown_name(str(path))} is {found} pixels (height x width) but the dump says {wanted}; give '
                         'the photos the dump was made from with --photos')
    return image


def shrink(image: np.ndarray, longest: int) -> np.ndarray:
    """Return the photo with its longer side at most ``longest`` pixels; never enlarged."""
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def write_jpeg(path: Path, image: np.ndarray, quality: int) -> None:
    """Write RGB uint8 (h, w, 3).

    Raises:
        OSError: it cannot be written.
    """
    _, content = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    path.write_bytes(content.tobytes())
