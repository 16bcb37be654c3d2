"""Images from one Label Studio server."""
import http.client
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mmpartref.errors import DownloadError, InputError
from mmpartref.images.image_url import check_url, fetch_image, is_url, make_opener, origin_of
from mmpartref.images.read_image import DecodedImage, ImageReader
from mmpartref.text import shown, shown_name

# Where Label Studio has the files of tasks: uploads and local files, and files of its storages.
FOLDERS = ('/data/', '/storage-data/', '/tasks/', '/projects/')
# Seconds and bytes of replies of the API.
TIMEOUT, MAX_REPLY = 10.0, 2**20
UNAUTHORISED = (401, 403)
# Without a token Label Studio redirects to its page for the login.
NOT_SEEN = (*UNAUTHORISED, 302, 404)
T = TypeVar('T')


class StudioImages:
    """Reads the images of tasks from the Label Studio server at one address, and from nowhere else.

    Args:
        url: of the server, e.g. ``http://localhost:8080``.
        key: an access token of a user: the legacy one, or a personal one (a JWT); '' for none.
        reader: its limits apply.

    Raises:
        InputError: ``url`` is not valid.
    """

    def __init__(self, url: str, key: str, reader: ImageReader) -> None:
        try:
            check_url(url)
            parts = urllib.parse.urlsplit(url)
            usable = not (parts.query or parts.fragment or '@' in parts.netloc)
        except InputError:
            usable = False
        if not usable:
            raise InputError(f'the address of Label Studio, {shown_name(url)}, must be scheme, host, port and path '
                             'only, e.g. http://localhost:8080')
        if not key.isascii() or not all(map(str.isprintable, key)) or ' ' in key:
            raise InputError('LABEL_STUDIO_API_KEY must be an access token: letters, digits and punctuation')
        self.url = url.rstrip('/')
        self.path = urllib.parse.urlsplit(self.url).path
        self.reader = reader
        self._key = key
        self._lock = threading.Lock()
        self._access = ''  # of a personal token, valid for some minutes

    def __call__(self, address: object) -> DecodedImage:
        """Read an image by its address in a task.

        Raises:
            InputError: the address is not one of this server, or what is there is not an image.
            DownloadError: the server does not give it.
        """
        url = self.address(address)
        name = shown_name(url)
        try:
            content = self._with_token(lambda headers: fetch_image(
                url, max_bytes=self.reader.max_bytes, timeout=self.reader.timeout, headers=headers))
        except DownloadError as error:
            if error.status not in NOT_SEEN:
                raise
            raise DownloadError(f'{error}; {self.advice}', status=error.status) from None
        if content.lstrip()[:1] == b'<':  # the page for the login
            raise InputError(f'{name} gives a web page, not an image; {self.advice}')
        try:
            return self.reader.decode(content, name)
        except (ValueError, OSError):
            raise InputError(f'{name} is not an image that can be read here; see the limits of --max-pixels') from None

    @property
    def advice(self) -> str:
        if not self._key:
            return 'set LABEL_STUDIO_API_KEY to a personal access token (Account & Settings in Label Studio)'
        return ('check that LABEL_STUDIO_API_KEY is the token of a user who sees the project, a personal one where '
                'legacy tokens are disabled')

    def address(self, address: object) -> str:
        """Return the URL of an image.

        Raises:
            InputError: it is not a file on this server.
        """
        if not isinstance(address, str) or not address.strip():
            raise InputError(f"the task's image is {shown(address)}, not an address")
        address = address.strip()
        if is_url(address) or address.startswith('//'):
            url = address
            known = url.lower().startswith(('http://', 'https://'))
            if known:
                check_url(url)
            if not known or '@' in urllib.parse.urlsplit(url).netloc or origin_of(url) != origin_of(self.url):
                raise InputError(f'the image {shown_name(url)} is not on {self.url}, and images are read from there '
                                 'only: upload it to Label Studio')
        else:
            begins = address.startswith(f'{self.path}/')
            url = self.url.removesuffix(self.path) + ('' if begins else self.path) + '/' + address.lstrip('/')
        check_url(url)
        path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
        inside = path.startswith(tuple(f'{self.path}{folder}' for folder in FOLDERS))
        if '..' in path.split('/') or '\\' in path or not inside:
            raise InputError(f'the image {shown_name(url)} is not a file of a task of Label Studio')
        return url

    def check(self) -> str:
        """Return why the server or the token cannot be used, '' if they can.

        Raises:
            InputError: the server rejects the token.
        """
        try:
            self._with_token(lambda headers: self._json('/api/current-user/whoami', headers))
        except DownloadError as error:
            if error.status in UNAUTHORISED:
                raise InputError(f'{self.url} rejects the access: {self.advice}') from None
            return f'{error}; start it, or correct --label-studio'
        return ''

    def _with_token(self, request: Callable[[Mapping[str, str]], T]) -> T:
        """Return the result of a request, which gets the headers; a personal token gives short-lived ones."""
        if self._key.count('.') != 2:
            return request({'Authorization': f'Token {self._key}'} if self._key else {})
        with self._lock:
            access = self._access
        if access:
            try:
                return request({'Authorization': f'Bearer {access}'})
            except DownloadError as error:
                if error.status not in UNAUTHORISED:
                    raise
        reply = self._json('/api/token/refresh', {}, {'refresh': self._key})
        access = str(reply.get('access') or '') if isinstance(reply, dict) else ''
        if not (access and access.isascii() and access.isprintable()):
            raise DownloadError(f'{self.url}/api/token/refresh gives no access token')
        with self._lock:
            self._access = access
        return request({'Authorization': f'Bearer {access}'})

    def _json(self, path: str, headers: Mapping[str, str], body: Any = None) -> Any:
        """Return the reply of the API.

        Raises:
            DownloadError: there is none.
        """
        content = None if body is None else json.dumps(body).encode()
        sent = {'Accept': 'application/json', 'Content-Type': 'application/json', **headers}
        request = urllib.request.Request(self.url + path, content, sent)
        try:
            with make_opener(direct=True).open(request, timeout=TIMEOUT) as response:
                return json.loads(response.read(MAX_REPLY))
        except urllib.error.HTTPError as error:
            raise DownloadError(f'{self.url}{path} replies with HTTP status {error.code}', status=error.code) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DownloadError(f'{self.url} gives no reply: {getattr(error, "reason", "") or error}') from None
