import io
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from mmpartref.apis import ImageReader
from mmpartref.errors import DownloadError, InputError
from mmpartref.images.image_url import fetch_image, is_url

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, 'PNG')
    return file.getvalue()


class Pages(BaseHTTPRequestHandler):
    """Images and all that can be in their place."""

    def do_GET(self) -> None:
        if self.path in ('/image.png', '/an%20image.png', '/caf%C3%A9.png?size=1&x=%20'):
            # A wrong content type, as some servers send.
            self.reply(png(), 'text/plain')
        elif self.path == '/moved':
            self.redirect('/image.png')
        elif self.path == '/secret':
            self.redirect('file:///etc/hostname')
        elif self.path == '/ftp':
            self.redirect('ftp://127.0.0.1:1/image.png')
        elif self.path == '/invalid':
            self.redirect('http://[bad')
        elif self.path == '/loop':
            self.redirect('/loop')
        elif self.path == '/page':
            self.reply(b'<!doctype html><title>a page about images</title>', 'image/png')
        elif self.path == '/announced':
            self.reply(png(), 'image/png', announced=10**9)
        elif self.path == '/cut':
            self.reply(png()[:100], 'image/png', announced=len(png()))
        elif self.path == '/endless':
            self.send_response(200)
            self.end_headers()
            self.pour()
        else:
            self.send_error(404)

    def pour(self) -> None:
        """Send without end, as long as somebody reads."""
        try:
            while True:
                self.wfile.write(b'\x89PNG' * 1000)
        except OSError:
            self.close_connection = True

    def reply(self, content: bytes, kind: str, announced: int | None = None) -> None:
        self.send_response(200)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(content) if announced is None else announced))
        self.end_headers()
        self.wfile.write(content)

    def redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header('Location', where)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope='module')
def server() -> Iterator[str]:
    with ThreadingHTTPServer(('127.0.0.1', 0), Pages) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield f'http://127.0.0.1:{running.server_port}'
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch) -> None:
    monkeypatch.setenv('no_proxy', '127.0.0.1')


@pytest.mark.parametrize('page', ['/image.png', '/moved', '/an image.png', '/café.png?size=1&x=%20'])
def test_an_image_is_known_by_its_bytes(server, page):
    image = ImageReader()(server + page)
    assert np.array_equal(image.pixels, PIXELS)
    assert image.name == server + page


@pytest.mark.parametrize(('page', 'error', 'message'), [
    ('/page', ValueError, 'a web page'),
    ('/none', ConnectionError, 'HTTP status 404'),
    ('/secret', ConnectionError, 'was not downloaded'),
    ('/ftp', ConnectionError, 'was not downloaded: unknown url type: ftp'),
    ('/loop', ConnectionError, 'was not downloaded'),
    ('/invalid', ConnectionError, 'was not downloaded: Invalid IPv6 URL'),
    ('/cut', ConnectionError, 'was truncated after 100 of'),
    ('/announced', ValueError, 'is larger than 1,000,000 bytes'),
    ('/endless', ValueError, 'is larger than 1,000,000 bytes'),
])
def test_other_content_than_an_image_raises_an_error(server, page, error, message):
    with pytest.raises(error, match=message) as caught:
        ImageReader(max_bytes=1_000_000)(server + page)
    assert str(caught.value).startswith(server + page)


@pytest.mark.parametrize(('url', 'reason'), [
    ('http://[bad', 'Invalid IPv6 URL'), ('HTTPS://]/', 'Invalid IPv6 URL'), ('http://', 'no host'),
    ('https:///x', 'no host'), ('http://:80/x', 'no host'), ('http://user@/x', 'no host'), ('http://?', 'no host'),
    ('http://127.0.0.1:x/', 'Port'), ('http://127.0.0.1:99999/', 'Port'), ('http://127.0.0.1:1%0a/', 'Port'),
    ('http://127.0.0.1/a\nb', 'control character'), ('http://a\0b/x', 'control character'),
    ('http://127.0.0.1/\ud800', 'lone surrogate'), ('http://\u2100.invalid/', 'NFKC'),
    ('http://a..b/x', 'label'), ('http://.', 'label'), (f"http://{'a' * 70}.invalid/x", 'label'),
    ('http://\u202e.invalid/', 'idna')])
def test_what_is_no_url_raises_one_sentence(url, reason):
    with pytest.raises(InputError, match=f'is not a valid URL .*{reason}'):
        ImageReader()(url)


@pytest.mark.parametrize('host', ['a b', '%00', '127.0.0.1%0a'])
def test_hosts_that_cannot_exist_raise_one_sentence(host):
    with pytest.raises(DownloadError, match=r'was not downloaded: [^\n]+$'):
        ImageReader()(f'http://{host}/image.png')


def test_a_server_that_takes_too_long_is_left(server):
    with pytest.raises(ConnectionError, match=r'not complete after 0\.02 seconds|timed out'):
        fetch_image(f'{server}/endless', max_bytes=2 * 10**8, timeout=0.02)


def test_a_closed_port_raises_an_error(server):
    # The port is bound, and not listening.
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        with pytest.raises(ConnectionError, match=r'was not downloaded: .*refused'):
            fetch_image(f'http://127.0.0.1:{taken.getsockname()[1]}/image.png')


def test_a_path_is_no_url():
    assert is_url('https://example.org/a.jpg')
    assert is_url('HTTP://example.org/a.jpg')
    assert is_url('file:///a.jpg')
    assert not is_url('folder/a.jpg')
    assert not is_url('C:\\images\\a.jpg')
    assert not is_url('./odd://name.jpg')
