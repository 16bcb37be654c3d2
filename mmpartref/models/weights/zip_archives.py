"""Check a zip archive, as torch writes its files, before anything in it is read into memory."""
import re
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from mmpartref.errors import WeightsError

# The extra field of a zip archive that gives a file a second name, which some readers use and torch's does not.
UNICODE_PATH = 0x7075
# Names of the tensors' files, as torch writes them. Digits only: torch's reader does not tell capital from small
# letters, so that one file could be read under many names.
DATA_NAME = re.compile(r'[^/]+/data/\d+')
# Bytes that an archive may hold beyond its own size: torch compresses no tensors.
MAX_COMPRESSED = 64 << 20


def starts_as_archive(path: Path) -> bool:
    """Tell whether torch takes a file for a zip archive: by its first bytes."""
    with path.open('rb') as file:
        return file.read(4) == b'PK\x03\x04'


def directory_is_at_end(file: BinaryIO, end: list[Any], size: int) -> bool:
    """Tell whether a zip archive's directory lies right before its end record, and that at the end of the file.

    Args:
        file: the open file.
        end: the end record as zipfile reads it: ..., size and offset of the directory at 5 and 6, own place at 9.
        size: of the file.
    """
    place = end[9]
    if place + 22 != size:
        return False
    file.seek(max(place - 20, 0))
    locator = file.read(20)
    if locator.startswith(b'PK\x06\x07'):
        # Of 64-bit archives: the locator names the place of a second end record, which lies before it.
        place -= 20 + 56
        if struct.unpack('<Q', locator[8:16])[0] != place:
            return False
    return end[5] + end[6] == place


def extra_fields(extra: bytes) -> set[int]:
    """Return the identifiers of the extra fields of a file in a zip archive."""
    found = set()
    while len(extra) >= 4:
        kind, size = struct.unpack('<HH', extra[:4])
        found.add(kind)
        extra = extra[4 + size:]
    return found


def check_archive_size(path: Path, *, numbered_only: bool = True) -> None:
    """Compare what a zip archive says it holds with its size, before anything is read into memory.

    Args:
        path: the archive.
        numbered_only: reject files of tensors whose names are not numbers.

    Raises:
        WeightsError: it holds more than torch, which compresses no tensors, puts into a file of that size, or its
            directory is not where torch writes it, so that two readers could find two directories.
    """
    size = path.stat().st_size
    with path.open('rb') as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if end is None or not directory_is_at_end(file, end, size):
            raise WeightsError('it is damaged or cut short: its directory is not at its end, where torch writes it')
    with zipfile.ZipFile(path) as archive:
        inside = sum(each.file_size for each in archive.infolist())
        if any(each.filename != each.orig_filename or UNICODE_PATH in extra_fields(each.extra)
               for each in archive.infolist()):
            raise WeightsError('one of its files has two names')
        odd = [name for name in archive.namelist() if '/data/' in name.lower() and not DATA_NAME.fullmatch(name)]
        if odd and numbered_only:
            raise WeightsError(f'it holds {odd[0]!r:.80}; torch numbers the files of tensors')
    if inside > size + MAX_COMPRESSED:
        raise WeightsError(f'its {size:,} bytes unpack to {inside:,}; a checkpoint is not compressed')
