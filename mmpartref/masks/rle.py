"""COCO segmentations as compressed run lengths."""
import math
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from mmpartref.errors import InputError
from mmpartref.text import shown

# x, y of three points: what a polygon ring needs at least.
RING_NUMBERS = 6
# Bits of a run length in each character of compressed counts, and the most characters that a 32-bit length takes.
BITS, MOST_CHARACTERS = 5, 7
# A coordinate this many photo sides away is a fault, not a part that leaves the photo; pycocotools would walk there
# pixel by pixel.
FARTHEST = 10
INTEGERS, NUMBERS = {int, np.int32, np.int64, np.uint32}, {int, float}


def is_number(value: object) -> bool:
    """Say whether a value of a json is a number; ``true`` is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def run_lengths(counts: bytes) -> np.ndarray:
    """Return the run lengths (int64) that compressed COCO counts hold.

    Format: ``rleFrString`` of pycocotools: little-endian groups of 5 bits, bit 5 says that more follow, from the
    fourth length on the difference from the last but one. pycocotools itself checks little and hands out uninitialised
    memory where the lengths do not fill the photo.

    Raises:
        ValueError: the bytes are not such counts.
    """
    code = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((code & 32) == 0)
    if not len(code) or code.min() < 0 or code.max() > 63 or not len(ends) or ends[-1] != len(code) - 1:
        raise InputError('its RLE counts are damaged; write them again with pycocotools.mask.encode')
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > MOST_CHARACTERS:
        raise InputError('its RLE counts are damaged; write them again with pycocotools.mask.encode')
    shifts = BITS * (np.arange(len(code)) - np.repeat(starts, sizes))
    lengths = np.add.reduceat((code & 31) << shifts, starts)
    negative = (code[ends] & 16) != 0
    lengths[negative] -= np.int64(1) << (BITS * sizes[negative])
    for first in (1, 2):
        lengths[first::2] = np.cumsum(lengths[first::2])
    return lengths


def rle_from_rle(segmentation: dict, height: int, width: int) -> dict:
    """Check an RLE, compressed or not, against its photo and return it compressed, ``counts`` as bytes.

    Raises:
        ValueError: keys are missing, the size is not the photo's, or the run lengths do not fill it.
    """
    if not {'size', 'counts'} <= segmentation.keys():
        raise InputError("its RLE lacks 'size' or 'counts'; write both")
    size, counts = segmentation['size'], segmentation['counts']
    if not isinstance(size, (list, tuple)) or list(size) != [height, width]:
        raise InputError(f'its RLE has size {shown(size)} but the photo is [{height}, {width}] (height, width); '
                         'write the mask at the photo\'s own size')
    if isinstance(counts, str):
        if not counts.isascii():
            raise InputError('its RLE counts are damaged; write them again with pycocotools.mask.encode')
        counts = counts.encode('ascii')
    if isinstance(counts, bytes):
        lengths = run_lengths(counts).tolist()
    elif isinstance(counts, (list, tuple, np.ndarray)) and set(map(type, counts)) <= INTEGERS:
        lengths = [int(length) for length in counts]
    else:
        raise InputError('its RLE counts are neither a string nor a list of integers; write one of them')
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise InputError(f"its RLE counts add up to {shown(sum(lengths))} pixels, not to the photo's {height} x {width}"
                         f'{", and some are negative" if min(lengths, default=0) < 0 else ""}; write them again with '
                         'pycocotools.mask.encode')
    if not isinstance(counts, bytes):
        counts = coco_mask.frPyObjects({'size': [height, width], 'counts': lengths}, height, width)['counts']
    return {'size': [height, width], 'counts': counts}


def check_ring(ring: Sequence[float], height: int, width: int) -> None:
    """Refuse a ring (x, y, x, y, ... in pixels) that is not made of points near the photo.

    Raises:
        ValueError: an odd count, or a coordinate that is no number or far outside.
    """
    if len(ring) % 2:
        raise InputError(f'a polygon ring has {len(ring)} numbers; a ring is pairs of x and y')
    if not set(map(type, ring)) <= NUMBERS:
        raise InputError('a polygon ring holds something that is not a number; a ring is x, y, x, y, ...')
    try:
        finite = math.isfinite(sum(ring))
    except OverflowError:  # an integer beyond the range of a float
        finite = False
    if not finite or max(max(ring), -min(ring)) > FARTHEST * max(height, width):
        raise InputError(f'a polygon ring has a coordinate far outside the photo of {height} x {width} pixels; '
                         'coordinates are x, y in pixels')


def rle_from_polygon(rings: Sequence[Sequence[float]], height: int, width: int) -> tuple[dict | None, int]:
    """Rasterise a polygon; what lies outside the photo is cut off.

    Returns:
        The compressed RLE (None where no ring is left) and how many rings of fewer than three points were discarded.
        pycocotools reads a ring of four numbers as a box, so it never gets to see one.

    Raises:
        ValueError: see ``check_ring``.
    """
    if not all(isinstance(ring, (list, tuple)) for ring in rings):
        raise InputError('its polygon is not a list of rings; write [[x, y, x, y, ...], ...]')
    good = [ring for ring in rings if len(ring) >= RING_NUMBERS]
    discarded = len(rings) - len(good)
    if not good:
        return None, discarded
    for ring in good:
        check_ring(ring, height, width)
    rles = coco_mask.frPyObjects(good, height, width)
    return union(rles, (height, width)), discarded


def rle_from_segmentation(segmentation: object, height: int, width: int) -> tuple[dict | None, int]:
    """Read any COCO segmentation of a photo of ``height`` x ``width`` pixels; returns as ``rle_from_polygon``.

    Raises:
        ValueError: it is damaged or of no known kind; the sentence starts after the record's name.
    """
    if isinstance(segmentation, dict):
        return rle_from_rle(segmentation, height, width), 0
    if isinstance(segmentation, (list, tuple)):
        return rle_from_polygon(segmentation, height, width)
    raise InputError(f'its segmentation is a {type(segmentation).__name__}; write polygons or an RLE')


def decode_refs(refs: Sequence[dict], size: tuple[int, int] | None = None) -> np.ndarray:
    """Return (K, h, w) uint8, 0 or 1: each ref's mask is the union of its annotations' ``rles``.

    Args:
        refs: a photo's; one without annotations gets an empty mask.
        size: the photo's (h, w); needed where no ref has an annotation, which would tell it.

    Raises:
        ValueError: the size is needed and missing.
    """
    size = size or next((tuple(rle['size']) for ref in refs for rle in ref['rles']), None)
    if size is None:
        raise InputError('none of these refs has an annotation, so that the size of their masks is unknown; give it')
    rles = [union(ref['rles'], size) for ref in refs]
    return np.ascontiguousarray(coco_mask.decode(rles).transpose(2, 0, 1))


def union(rles: Sequence[dict], size: Sequence[int]) -> dict:
    """Return the union of compressed RLEs.

    Args:
        rles: masks of one image; ``counts`` as bytes or as a string.
        size: the image's (h, w); the size of the empty mask that is returned where there are no RLEs.

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
