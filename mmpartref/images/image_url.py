"""Download of images over http and https."""
import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping

from mmpartref.argument_checks import check_integer, check_seconds
from mmpartref.errors import DownloadError, InputError, InputTypeError, MMPartRefError
from mmpartref.text import shown, shown_name, text_fault

MAX_BYTES = 64 * 2**20
TIMEOUT = 20.0
CHUNK = 1 << 16
# urllib's default opener also follows redirects to ftp and reads file: URLs.
HANDLERS = (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
            urllib.request.HTTPRedirectHandler, urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler)
PORTS = {'http': 80, 'https': 443}


def is_url(text: str) -> bool:
    """Return whether a text starts with a scheme (``http://``, ``file://``, ``s3://``, ...)."""
    return re.match(r'[a-z][a-z0-9+.-]+://', text, re.IGNORECASE) is not None


def check_url(url: str) -> None:
    """Check a URL before it is used.

    Raises:
        InputTypeError: it is not a string.
        InputError: the scheme is not http or https, there is no host, or the text is not a URL.
    """
    if not isinstance(url, str):
        raise InputTypeError(f'url={shown(url)} should be a string')
    name = shown_name(url)
    if not url.lower().startswith(('http://', 'https://')):
        raise InputError(f'{name}: images are downloaded over http and https only; give a path for a local file')
    fault = 'it has a control character' if re.search(r'[\x00-\x1f\x7f-\x9f]', url) else text_fault(url)
    try:
        parts = urllib.parse.urlsplit(url)
        # Both raise an error: for a port that is no number up to 65535, and for a host with an empty or long part.
        _ = parts.port, (parts.hostname or '').encode('idna')
        fault = fault or ('' if parts.hostname else 'it has no host')
    except ValueError as error:
        fault = fault or str(error)
    if fault:
        raise InputError(f'{name} is not a valid URL ({fault}); correct it')


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL, in lower case."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme.lower(), parts.hostname or '', parts.port or PORTS.get(parts.scheme.lower())


def make_opener(direct: bool = False) -> urllib.request.OpenerDirector:
    """Return an opener for http and https; with ``direct`` it uses no proxy and follows no redirect."""
    opener = urllib.request.OpenerDirector()
    for handler in HANDLERS:
        if not direct or handler not in (urllib.request.ProxyHandler, urllib.request.HTTPRedirectHandler):
            opener.add_handler(handler())
    return opener


def fetch_image(url: str, *, max_bytes: int = MAX_BYTES, timeout: float = TIMEOUT,
                headers: Mapping[str, str] | None = None) -> bytes:
    """Download a file; its content type is ignored, its bytes are checked by the reader.

    Args:
        url: http or https.
        max_bytes: larger files are rejected.
        timeout: seconds, for each network operation and for the whole content.
        headers: more headers, for the server of ``url`` alone; unless None, no proxy is used and no redirect followed.

    Raises:
        InputTypeError: an argument is of another type.
        ValueError: not a valid URL, another scheme, a limit out of range, or too many bytes.
        ConnectionError: the network fails, or is too slow.
    """
    check_url(url)
    max_bytes, timeout = check_integer(max_bytes, 'max_bytes'), check_seconds(timeout, 'timeout')
    name = shown_name(url)
    too_large = f'{name} is larger than {max_bytes:,} bytes; download it yourself, or raise max_bytes'
    deadline = time.monotonic() + timeout
    content = bytearray()
    # Quotes spaces and non-ASCII letters as browsers do. Some servers reject Python's default user agent.
    quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    request = urllib.request.Request(quoted, headers={'User-Agent': 'mmpartref', 'Accept': 'image/*, */*;q=0.8',
                                                      **(headers or {})})
    try:
        with make_opener(direct=headers is not None).open(request, timeout=timeout) as response:
            length = response.headers.get('Content-Length') or ''
            if length.isdigit() and int(length) > max_bytes:
                raise InputError(too_large)
            while chunk := response.read1(CHUNK):
                content += chunk
                if len(content) > max_bytes:
                    raise InputError(too_large)
                if time.monotonic() > deadline:
                    raise TimeoutError(f'not complete after {timeout:g} seconds')
    except MMPartRefError:
        raise
    except urllib.error.HTTPError as error:
        raise DownloadError(f'{name} was not downloaded: HTTP status {error.code} {error.reason}',
                            status=error.code) from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a host or header is not valid
        raise DownloadError(f"{name} was not downloaded: {getattr(error, 'reason', '') or error}") from None
    if length.isdigit() and len(content) < int(length):
        raise DownloadError(f'{name} was truncated after {len(content):,} of {int(length):,} bytes; try again')
    return bytes(content)
