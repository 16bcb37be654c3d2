"""Journal of a run: what it has done so far, so that memory stays flat and a run that was killed can go on."""
import fcntl
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from mmpartref.errors import FileInTheWayError, InputError
from mmpartref.files.output_path import check_replaceable, write_errors
from mmpartref.files.plain_file import check_plain
from mmpartref.text import one_line, shown_name

# Version of the files; others are not read.
VERSION = 1
# End of the names.
SUFFIX = '.journal.jsonl'
# Characters of a value in a message.
MAX_VALUE = 80

Header = Mapping[str, Any]


class Journal:
    """A file with a header and a line per image that is done: ``{"image": <number>, <its records>}``.

    A line is written when all files of its image are. The file is removed when the run is complete, or when it ends
    before the first image is done.

    Args:
        path: of the file; None for a temporary one.
        header: what has to be the same when a run goes on; values of JSON.
        images: number of images.

    Attributes:
        count: number of images that are done.
    """

    def __init__(self, path: Path | None, header: Header, images: int) -> None:
        self.path = path
        self.count = 0
        self._header = json.loads(json.dumps({'journal': VERSION, **header}))
        # Of the lines; 0, which is the header's, for images that are not done.
        self._offsets = array('q', bytes(8 * images))
        self._file: IO[bytes] | None = None
        # Of what is kept of an existing file.
        self._end = 0

    def load(self, *, resume: bool, multiple: int = 1) -> None:
        """Read an existing file. One without images is ignored, and so is a last line that was not written to its end.

        Args:
            resume: whether the run goes on.
            multiple: the number of images that are done is rounded down to a multiple of this, so that batches consist
                of the same images as in one run.

        Raises:
            FileInTheWayError: another process has it open, or it has images and the run does not go on.
            InputError: it is of another run, or damaged.
        """
        if self.path is None or not self.path.exists():
            return
        name = shown_name(str(self.path))
        check_plain(self.path.stat(), name)
        with self.path.open('rb') as file:
            self._lock(file)
            lines = list_lines(file, name)
            header = next(lines, (0, 0, {}))[2]
            ends, found = [], []
            for offset, end, record in lines:
                number = record.get('image')
                if type(number) is not int or not 0 <= number < len(self._offsets):
                    raise InputError(f'{name} has a line of image {number!r}, but there are images 0 to '
                                     f'{len(self._offsets) - 1}; remove it to start again')
                found.append((number, offset))
                ends.append(end)
        if not found:
            return
        if not resume:
            raise FileInTheWayError(f'{name} is the journal of a run that has not ended, {len(found):,} of '
                                    f'{header.get("images", 0):,} images: add --resume to go on, or remove it to start '
                                    'again')
        if difference := header_difference(header, self._header):
            raise InputError(f'{name} is of another run: {difference}; give the same command line to go on, or remove '
                             'it to start again')
        kept = len(found) // multiple * multiple
        for number, offset in found[:kept]:
            self._offsets[number] = offset
        self.count = len(self._offsets) - self._offsets.count(0)
        self._end = ends[kept - 1] if kept else 0

    def is_done(self, number: int) -> bool:
        """Return whether an image is done."""
        return self._offsets[number] > 0

    def __enter__(self) -> 'Journal':
        """Open the file.

        Raises:
            FileInTheWayError: another process has it open.
            FileWriteError: it cannot be written.
        """
        if self.path is None:
            self._file = TemporaryFile()
        else:
            with write_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                check_replaceable(self.path)
                self._file = self.path.open('r+b' if self.path.exists() else 'x+b')
            self._lock(self._file)
        self._file.truncate(self._end)
        if not self._end:
            self._write(self._header)
        return self

    def _lock(self, file: IO[bytes]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileInTheWayError(f'{shown_name(str(self.path))} is the journal of a run that is under way; wait for '
                                    'it, or name another output folder') from None
        except OSError:
            pass  # a file system without locks

    def add(self, number: int, records: Mapping[str, Any]) -> None:
        """Write an image, whose files are all written."""
        self._offsets[number] = self._write({'image': number, **records})
        self.count += 1

    def _write(self, line: Header) -> int:
        """Append a line and return its offset."""
        assert self._file is not None
        offset = self._file.seek(0, 2)
        with write_errors(self.path or 'the temporary journal'):
            self._file.write(json.dumps(line).encode() + b'\n')
            self._file.flush()
        return offset

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of the images that are done, in the order of the images."""
        assert self._file is not None
        for offset in self._offsets:
            if offset:
                self._file.seek(offset)
                yield json.loads(self._file.readline())

    def records(self, kind: str) -> Callable[[], Iterable[Any]]:
        """Return a function that yields the records of a kind, in the order of the images."""
        return lambda: (line[kind] for line in self.lines())

    def remove(self) -> None:
        """Remove the file: the run is complete."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def __exit__(self, *error: object) -> None:
        assert self._file is not None
        if not self.count:
            self.remove()
        with suppress(OSError):
            self._file.close()


def list_lines(file: IO[bytes], name: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield offset, end and content of each line; a last one that is cut short is dropped.

    Raises:
        InputError: another line is damaged, or the first is not a header of ``VERSION``.
    """
    offset = 0
    for number, line in enumerate(file, 1):
        end = offset + len(line)
        try:
            content = json.loads(line) if line.endswith(b'\n') else None
        except ValueError:  # also of characters
            content = None
        if not isinstance(content, dict):
            if file.read(1):
                raise InputError(f'{name}: line {number} is damaged; remove the file to start again')
            return
        if number == 1 and content.get('journal') != VERSION:
            raise InputError(f'{name} is not a journal of version {VERSION}; remove it to start again')
        yield offset, end, content
        offset = end


def header_difference(one: Header, other: Header) -> str:
    """Return in words which value differs between two headers; '' where none does."""
    for key in dict.fromkeys((*one, *other)):
        there, here = one.get(key), other.get(key)
        if isinstance(there, dict) and isinstance(here, dict) and there != here:
            return header_difference(there, here)
        if there != here:
            values = (one_line(json.dumps(value, ensure_ascii=False), MAX_VALUE) for value in (there, here))
            return '{} is {} there and {} here'.format(key, *values)
    return ''
