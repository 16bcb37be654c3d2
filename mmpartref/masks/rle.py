"""COCO segmentations as compressed run-length encodings (RLE)."""
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.errors import InputError
from mmpartref.masks.polygons import rasterise_polygon
from mmpartref.text import shown

# Bits of a run length in each character of compressed counts, and the most characters of a 32-bit length.
BITS, MAX_CHARACTERS = 5, 7
INTEGERS = {int, np.int32, np.int64, np.uint32}
DAMAGED = 'its RLE counts are damaged; write them again with pycocotools.mask.encode'


def is_number(value: object) -> bool:
    """Return whether a value of a json is a number; ``true`` and ``false`` are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def run_lengths(counts: bytes) -> np.ndarray:
    """Return the run lengths (int64) of compressed COCO counts.

    Format: ``rleFrString`` of pycocotools: little-endian groups of 5 bits, bit 5 is set if more follow, from the fourth
    length on the difference to the last but one. pycocotools does not check the lengths and returns uninitialised
    memory where they do not fill the image.

    Raises:
        ValueError: the bytes are not such counts.
    """
    code = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((code & 32) == 0)
    if not len(code) or code.min() < 0 or code.max() > 63 or not len(ends) or ends[-1] != len(code) - 1:
        raise InputError(DAMAGED)
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > MAX_CHARACTERS:
        raise InputError(DAMAGED)
    shifts = BITS * (np.arange(len(code)) - np.repeat(starts, sizes))
    lengths = np.add.reduceat((code & 31) << shifts, starts)
    negative = (code[ends] & 16) != 0
    lengths[negative] -= np.int64(1) << (BITS * sizes[negative])
    for first in (1, 2):
        lengths[first::2] = np.cumsum(lengths[first::2])
    return lengths


def rle_from_rle(segmentation: dict, height: int, width: int) -> dict:
    """Check an RLE, compressed or not, against its image's size and return it compressed, ``counts`` as bytes.

    Raises:
        ValueError: keys are missing, the size is not the image's, or the run lengths do not fill it.
    """
    if not {'size', 'counts'} <= segmentation.keys():
        raise InputError("its RLE lacks 'size' or 'counts'; write both")
    size, counts = segmentation['size'], segmentation['counts']
    if not isinstance(size, (list, tuple)) or list(size) != [height, width]:
        raise InputError(f'its RLE has size {shown(size)} but the image is [{height}, {width}] (height, width); '
                         'write the mask at the image\'s own size')
    if isinstance(counts, str):
        if not counts.isascii():
            raise InputError(DAMAGED)
        counts = counts.encode('ascii')
    if isinstance(counts, bytes):
        lengths = run_lengths(counts).tolist()
    elif isinstance(counts, (list, tuple, np.ndarray)) and set(map(type, counts)) <= INTEGERS:
        lengths = [int(length) for length in counts]
    else:
        raise InputError('its RLE counts are neither a string nor a list of integers; write one of them')
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise InputError(f"its RLE counts add up to {shown(sum(lengths))} pixels, not to the image's {height} x {width}"
                         f'{", and some are negative" if min(lengths, default=0) < 0 else ""}; write them again with '
                         'pycocotools.mask.encode')
    if not isinstance(counts, bytes):
        counts = coco_mask.frPyObjects({'size': [height, width], 'counts': lengths}, height, width)['counts']
    return {'size': [height, width], 'counts': counts}


def rle_from_segmentation(segmentation: object, height: int, width: int) -> tuple[dict | None, int]:
    """Read any COCO segmentation of an image of ``height`` x ``width`` pixels.

    Returns:
        The compressed RLE (None for a polygon without a ring) and the number of dropped polygon rings of fewer than
        three points.

    Raises:
        ValueError: it is damaged or of an unknown kind; the message continues a sentence that names the record.
    """
    if isinstance(segmentation, dict):
        return rle_from_rle(segmentation, height, width), 0
    if isinstance(segmentation, (list, tuple)):
        rles, dropped = rasterise_polygon(segmentation, height, width)
        return union(rles, (height, width)) if rles else None, dropped
    raise InputError(f'its segmentation is a {type(segmentation).__name__}; write polygons or an RLE')


def decode_refs(refs: Sequence[dict], size: tuple[int, int] | None = None) -> np.ndarray:
    """Return (K, h, w) uint8, 0 or 1: each ref's mask is the union of its annotations' ``rles``.

    Args:
        refs: of one image; a ref without annotations gets an empty mask.
        size: the image's (h, w); needed if no ref has an annotation.

    Raises:
        ValueError: the size is needed and missing.
    """
    size = size or next((tuple(rle['size']) for ref in refs for rle in ref['rles']), None)
    if size is None:
        raise InputError('none of these refs has an annotation to read the size of their masks from; pass size')
    rles = [union(ref['rles'], size) for ref in refs]
    return np.ascontiguousarray(coco_mask.decode(rles).transpose(2, 0, 1))


def union(rles: Sequence[dict], size: Sequence[int]) -> dict:
    """Return the union of compressed RLEs.

    Args:
        rles: masks of one image; ``counts`` as bytes or as a string.
        size: the image's (h, w); the size of the empty mask that is returned if there are no RLEs.

    Returns:
        A compressed RLE, ``counts`` as bytes; a single RLE is returned as it is.
    """
    if len(rles) == 1:
        return rles[0]
    # Merging nothing would give an RLE of size (0, 0).
    return coco_mask.merge(list(rles)) if rles else empty(size)


def empty(size: Sequence[int]) -> dict:
    """Return the compressed RLE, ``counts`` as bytes, of a mask of ``size`` (h, w) without pixels."""
    height, width = map(int, size)
    return coco_mask.frPyObjects({'size': [height, width], 'counts': [height * width]}, height, width)
