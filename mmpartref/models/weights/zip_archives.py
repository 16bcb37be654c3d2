"""Checks of zip archives in torch's format, before their content is read into memory."""
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from mmpartref.errors import WeightsError
from mmpartref.text import shown

# Extra field of a zip archive with a second name of a file, which some readers use and torch's does not.
UNICODE_PATH = 0x7075
# Names of tensor files as torch writes them. With letters one file could be read under many names, because torch's
# reader is not case-sensitive.
DATA_NAME = re.compile(r'[^/]+/data/\d+')
# Attribute of a folder in a zip archive; torch's reader leaves the memory of such a tensor as it was.
FOLDER = 0x10
# Bytes of content allowed in excess of the archive's size, since torch does not compress tensors.
MAX_COMPRESSED = 64 << 20
CHUNK = 1 << 20
# What zipfile raises for a damaged archive.
ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError,
                  RuntimeError)


def starts_as_archive(path: Path) -> bool:
    """Return whether a file starts as a zip archive, which is how torch detects one."""
    with path.open('rb') as file:
        return file.read(4) == b'PK\x03\x04'


def directory_is_at_end(file: BinaryIO, end: list[Any], size: int) -> bool:
    """Return whether a zip archive's directory is directly before its end record, and that at the end of the file.

    Args:
        file: the open file.
        end: zipfile's end record, with the directory's size at 5, its offset at 6 and the record's offset at 9.
        size: of the file in bytes.
    """
    place = end[9]
    if place + 22 != size:
        return False
    file.seek(max(place - 20, 0))
    locator = file.read(20)
    if locator.startswith(b'PK\x06\x07'):
        # 64-bit archives: the locator has the offset of a second end record, which is before it.
        place -= 20 + 56
        if struct.unpack('<Q', locator[8:16])[0] != place:
            return False
    return end[5] + end[6] == place


def extra_fields(extra: bytes) -> set[int]:
    """Return the identifiers in the extra field of a file in a zip archive."""
    found = set()
    while len(extra) >= 4:
        kind, size = struct.unpack('<HH', extra[:4])
        found.add(kind)
        extra = extra[4 + size:]
    return found


def check_checksums(path: Path) -> None:
    """Compare the checksum of every file in a zip archive with its content; torch's reader does not.

    Raises:
        WeightsError: one differs, or cannot be read.
    """
    name = ''
    try:
        with zipfile.ZipFile(path) as archive:
            for each in archive.infolist():
                name = each.filename
                with archive.open(each) as file:
                    while file.read(CHUNK):
                        pass
    except ARCHIVE_ERRORS:
        raise WeightsError(f'it is damaged: the checksum of {shown(name)} in it is wrong; copy or download it again'
                           ) from None


def check_archive_size(path: Path, *, numbered_only: bool = True) -> None:
    """Check the declared size of a zip archive's content, the position of its directory and its file names.

    Args:
        path: the archive.
        numbered_only: reject tensor files whose names are not numbers.

    Raises:
        WeightsError: the content is larger than in an uncompressed archive of torch, the directory is not where torch
            writes it (so that readers could find different directories), or a file has two names or is marked as a
            folder.
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
        if any(each.external_attr & FOLDER and each.file_size for each in archive.infolist()):
            raise WeightsError('it is damaged: one of its files is marked as a folder')
        odd = [name for name in archive.namelist() if '/data/' in name.lower() and not DATA_NAME.fullmatch(name)]
        if odd and numbered_only:
            raise WeightsError(f'it holds {odd[0]!r:.80}; torch numbers the files of tensors')
    if inside > size + MAX_COMPRESSED:
        raise WeightsError(f'its {size:,} bytes unpack to {inside:,}; a checkpoint is not compressed')
