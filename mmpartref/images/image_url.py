"""Download of images over http and https."""
import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request

from mmpartref.errors import DownloadError, InputError

MAX_BYTES = 64 * 2**20
TIMEOUT = 20.0
CHUNK = 1 << 16
# urllib's default opener also follows redirects to ftp and reads file: URLs.
HANDLERS = (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
            urllib.request.HTTPRedirectHandler, urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler)


def is_url(text: str) -> bool:
    """Return whether a text starts with a scheme (``http://``, ``file://``, ``s3://``, ...)."""
    return re.match(r'[a-z][a-z0-9+.-]+://', text, re.IGNORECASE) is not None


def fetch_image(url: str, *, max_bytes: int = MAX_BYTES, timeout: float = TIMEOUT) -> bytes:
    """Download a file; its content type is ignored, its bytes are checked by the reader.

    Args:
        url: http or https.
        max_bytes: larger files are rejected.
        timeout: seconds, for each network operation and for the whole content.

    Raises:
        ValueError: another scheme, or too many bytes.
        ConnectionError: the network fails, or is too slow.
    """
    if not url.lower().startswith(('http://', 'https://')):
        raise InputError(f'{url}: images are downloaded over http and https only; give a path for a local file')
    too_large = f'{url} is larger than {max_bytes:,} bytes; download it yourself, or raise max_bytes'
    deadline = time.monotonic() + timeout
    content = bytearray()
    # Quotes spaces and non-ASCII letters as browsers do. Some servers reject Python's default user agent.
    quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    request = urllib.request.Request(quoted, headers={'User-Agent': 'mmpartref', 'Accept': 'image/*'})
    opener = urllib.request.OpenerDirector()
    for handler in HANDLERS:
        opener.add_handler(handler())
    try:
        with opener.open(request, timeout=timeout) as response:
            length = response.headers.get('Content-Length') or ''
            if length.isdigit() and int(length) > max_bytes:
                raise InputError(too_large)
            while chunk := response.read1(CHUNK):
                content += chunk
                if len(content) > max_bytes:
                    raise InputError(too_large)
                if time.monotonic() > deadline:
                    raise TimeoutError(f'not complete after {timeout:g} seconds')
    except urllib.error.HTTPError as error:
        raise DownloadError(f'{url} was not downloaded: HTTP status {error.code} {error.reason}') from None
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{url} was not downloaded: {getattr(error, 'reason', '') or error}") from None
    if length.isdigit() and len(content) < int(length):
        raise DownloadError(f'{url} was truncated after {len(content):,} of {int(length):,} bytes; try again')
    return bytes(content)
