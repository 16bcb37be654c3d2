"""The photos behind a dump: where they lie, and how they are read."""
from collections.abc import Sequence
from os.path import commonpath
from pathlib import Path

import cv2
import numpy as np

from mmpartref.datasets.transforms.load_image import decode_photo
from mmpartref.evaluation.predictions import PhotoPredictions


def photo_paths(photos: Sequence[PhotoPredictions], root: str | Path | None) -> list[Path]:
    """Return where each photo should lie.

    Args:
        photos: with ``img_path`` as it was where the dump was written.
        root: a folder to look in instead. All photos keep the same number of folders of their path below it: the
            number with which most of them are found, and the greatest of equals, so that two photos of the same name
            in different folders are never mixed up.

    Raises:
        ValueError: the dump was written without paths.
        NotADirectoryError: ``root`` is no folder.
    """
    unnamed = [photo.img_id for photo in photos if not photo.img_path]
    if unnamed:
        raise ValueError(f'the dump does not say where the photo with img_id {unnamed[0]} lies; write it again with '
                         'tools/test.py --dump')
    paths = [Path(photo.img_path) for photo in photos]
    if root is None:
        return paths
    root = Path(root)
    if not root.is_dir():
        raise NotADirectoryError(f'{root} is not a folder; give the one with the photos of the dump')
    shared = Path(commonpath([path.parent for path in paths])).parts
    choices = []
    for stripped in range(len(shared) + 1):
        tail = [Path(*[part for part in path.parts[stripped:] if part != path.anchor]) for path in paths]
        choices.append([root / each for each in tail])
    found = [sum(path.is_file() for path in choice) for choice in choices]
    # Where nothing is found, the photos' names right below the root make the shortest sentence.
    return choices[found.index(max(found))] if any(found) else choices[-1]


def read_photo(path: Path, photo: PhotoPredictions) -> np.ndarray:
    """Return RGB uint8 (h, w, 3), turned by its EXIF orientation as the model saw it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be decoded, or it has another size than the dump's masks.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f'photo {path} does not exist; say with --photos where the photos lie, or leave such '
                                'expressions out with --on-missing-photo skip') from None
    image = decode_photo(content, str(path))
    if image.shape[:2] != photo.ori_shape:
        raise ValueError(f'{path} is {image.shape[0]} x {image.shape[1]} pixels (height x width) but the dump says '
                         f'{photo.ori_shape[0]} x {photo.ori_shape[1]}; give the photos the dump was made from with '
                         '--photos')
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
