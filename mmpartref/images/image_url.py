"""Fetch a photo over http or https, and nothing over anything else."""
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


def is_url(text: str) -> bool:
    """Tell whether text has a scheme (``http://``, ``file://``, ``s3://``, ...); a path has none."""
    return re.match(r'[a-z][a-z0-9+.-]+://', text, re.IGNORECASE) is not None


def opener() -> urllib.request.OpenerDirector:
    """Return one that knows http and https alone, so that no redirection leads to a file or to ftp."""
    director = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
                    urllib.request.HTTPRedirectHandler, urllib.request.HTTPDefaultErrorHandler,
                    urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler):
        director.add_handler(handler())
    return director


def fetch_photo(url: str, *, max_bytes: int = MAX_BYTES, timeout: float = TIMEOUT) -> bytes:
    """Return what lies behind a URL, whatever it is: its content type is not asked, its bytes are looked at later.

    Args:
        url: http or https.
        max_bytes: more than this is not read.
        timeout: seconds, of each wait for the network, and of reading all of the content.

    Raises:
        ValueError: another scheme, or too many bytes.
        ConnectionError: the network does not give it, or not in time.
    """
    if not url.lower().startswith(('http://', 'https://')):
        raise InputError(f'{url}: photos are fetched over http and https only; give a path for a file on this machine')
    too_large = f'{url} is larger than {max_bytes:,} bytes; fetch it yourself, or raise max_bytes'
    deadline = time.monotonic() + timeout
    content = bytearray()
    # Blanks and letters beyond ASCII as browsers send them. Some servers refuse Python's own name.
    quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    request = urllib.request.Request(quoted, headers={'User-Agent': 'mmpartref', 'Accept': 'image/*'})
    try:
        with opener().open(request, timeout=timeout) as response:
            announced = response.headers.get('Content-Length') or ''
            if announced.isdigit() and int(announced) > max_bytes:
                raise InputError(too_large)
            while chunk := response.read1(CHUNK):
                content += chunk
                if len(content) > max_bytes:
                    raise InputError(too_large)
                if time.monotonic() > deadline:
                    raise TimeoutError(f'not complete after {timeout:g} seconds')
    except urllib.error.HTTPError as error:
        raise DownloadError(f'{url} was not fetched: the server says {error.code} {error.reason}') from None
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{url} was not fetched: {getattr(error, 'reason', '') or error}") from None
    if announced.isdigit() and len(content) < int(announced):
        raise DownloadError(f'{url} was cut off after {len(content):,} of {int(announced):,} bytes; try again')
    return bytes(content)
