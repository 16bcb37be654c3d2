"""Program that reads .mat files with SciPy, in a process that a damaged file may crash; see ``MatReader``.

Reads lines of JSON from stdin: first the parent's ``sys.path``, then names of files. Writes a line for each file to
stdout: [its variables, ''] or [null, why it cannot be read]; an array is {"dtype", "shape", "data" in base64}.
"""
import base64
import json
import resource
import struct
import sys
import zlib
from contextlib import suppress
from typing import Any

# Bytes that this process may use; the masks of an image have some megabytes.
MAX_MEMORY = 4 << 30
# Of MATLAB 5's format: the bytes before the first element, and the type of a compressed element.
HEADER, COMPRESSED = 128, 15


def check_elements(content: bytes) -> None:
    """Check that the elements of a MATLAB 5 file fill it, and the checksums of compressed ones, which SciPy does not.

    Raises:
        Exception: of several types; one is truncated or damaged.
    """
    order = {b'IM': '<', b'MI': '>'}.get(content[HEADER - 2:HEADER])
    place = HEADER
    while order and place < len(content):
        kind, size = struct.unpack_from(f'{order}II', content, place)
        place += 8 + size
        if place > len(content):
            raise ValueError('it is truncated')
        if kind == COMPRESSED:
            zlib.decompress(content[place - size:place])


def encode(value: Any) -> Any:
    """Return an array or a scalar of numpy for JSON.

    Raises:
        TypeError: it has no such form.
    """
    if not hasattr(value, 'dtype'):
        raise TypeError(f'it has a {type(value).__name__}')
    if value.dtype.kind == 'O':
        return value.tolist()
    if not value.shape:
        return value.item()
    return {'dtype': value.dtype.str, 'shape': value.shape, 'data': base64.b64encode(value.tobytes()).decode('ascii')}


def main() -> None:
    sys.path[:] = json.loads(sys.stdin.readline())
    from scipy.io import loadmat
    for limit, value in ((resource.RLIMIT_AS, MAX_MEMORY), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # a system without this limit, or with a lower one
            resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
    for line in sys.stdin:
        path = json.loads(line)
        try:
            with open(path, 'rb') as file:
                check_elements(file.read())
            content = loadmat(path, simplify_cells=True)
            # MATLAB's header is bytes and of no use.
            text = json.dumps([{key: value for key, value in content.items() if not key.startswith('__')}, ''],
                              default=encode)
        except Exception as error:  # a damaged file raises errors of many types
            text = json.dumps([None, str(error) or type(error).__name__])
        print(text, flush=True)


if __name__ == '__main__':
    main()
