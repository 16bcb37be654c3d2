"""A stand-in for Label Studio's server, and a model that answers at once."""
import io
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmpartref.apis import ImageResults, PartResult

SIZE = (60, 80)
TOKEN = 'legacy-token-0123'
PERSONAL = 'aa.bb.cc'
LABELS = ('<View><Image name="image" value="$image"/><TextArea name="prompt" toName="image"/>'
          '<PolygonLabels name="label" toName="image"><Label value="car tire"/><Label value="car mirror"/>'
          '</PolygonLabels></View>')


def image_file(size: tuple[int, int] = SIZE, kind: str = 'PNG') -> bytes:
    file = io.BytesIO()
    Image.new('RGB', size[::-1], (90, 120, 50)).save(file, kind)
    return file.getvalue()


class StudioServer(ThreadingHTTPServer):
    """Gives files to those who have the token.

    Attributes:
        files: content, or (status, headers, content), by path.
        seen: (method, path, headers) of all requests.
        access: current access token of the personal one.
    """
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), StudioHandler)
        self.files: dict[str, Any] = {'/data/upload/1/0123abcd-car.png': image_file()}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.access = 'access-1'
        self.url = f'http://127.0.0.1:{self.server_port}'
        threading.Thread(target=self.serve_forever, daemon=True).start()


class StudioHandler(BaseHTTPRequestHandler):
    server: StudioServer

    def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {'Content-Length': str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.seen.append(('GET', self.path, dict(self.headers)))
        if self.headers.get('Authorization') not in (f'Token {TOKEN}', f'Bearer {self.server.access}'):
            self.reply(401, b'{}')
        elif self.path == '/api/current-user/whoami':
            self.reply(200, b'{"id": 1}')
        elif self.path in self.server.files:
            found = self.server.files[self.path]
            status, headers, content = found if isinstance(found, tuple) else (200, {}, found)
            self.reply(status, content, headers)
        else:
            self.reply(404, b'{}')

    def do_POST(self) -> None:
        self.server.seen.append(('POST', self.path, dict(self.headers)))
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        if self.path == '/api/token/refresh' and body == {'refresh': PERSONAL}:
            self.reply(200, json.dumps({'access': self.server.access}).encode())
        else:
            self.reply(401, b'{}')

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def studio():
    server = StudioServer()
    yield server
    server.shutdown()
    server.server_close()


class StubInferencer:
    """Two discs for a tire, an empty mask for a mirror, a disc for the rest; waits for ``gate``."""

    def __init__(self) -> None:
        self.info = {'config': 'stub.py', 'checkpoint': 'runs/stub/best.pth'}
        self.model = torch.nn.Linear(2, 2)
        self.device = 'cpu'
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[list[str]] = []
        self.lock, self.running, self.most = threading.Lock(), 0, 0

    def __call__(self, image, expressions) -> ImageResults:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.calls.append(expressions)
        assert self.gate.wait(60)
        with self.lock:
            self.running -= 1
        return ImageResults(image, [PartResult(image, each, self.mask(each, image.size), 0.75)
                                    for each in expressions])

    @staticmethod
    def mask(expression: str, size: tuple[int, int]) -> np.ndarray:
        rows, columns = np.mgrid[:size[0], :size[1]]
        first, second = ((rows - 30)**2 + (columns - x)**2 < 150 for x in (20, 60))
        return first | second if 'tire' in expression else first & ('mirror' not in expression)


@pytest.fixture
def inferencer() -> StubInferencer:
    return StubInferencer()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(('127.0.0.1', 0))
        return trial.getsockname()[1]


def request_of(*addresses: object, context: Any = None, config: str = LABELS) -> dict[str, Any]:
    """As Label Studio 1.23 sends it."""
    return {'tasks': [{'id': number, 'data': {'image': each}, 'annotations': [], 'predictions': []}
                      for number, each in enumerate(addresses, 1)],
            'project': '3.1796049468', 'label_config': config,
            'params': {'login': None, 'password': None, 'context': context}}


def typed(text: str) -> dict[str, Any]:
    """The context of a text typed into the browser, as Label Studio 1.23 sends it."""
    return {'result': [{'value': {'text': [text]}, 'id': 'oAT_ba2yw3', 'from_name': 'prompt', 'to_name': 'image',
                        'type': 'textarea', 'origin': 'manual'}]}


@pytest.fixture
def forms():
    """``request_of``, ``typed`` and ``image_file`` as attributes; tests are not a package."""
    class Forms:
        request_of = staticmethod(request_of)
        typed = staticmethod(typed)
        image_file = staticmethod(image_file)
        LABELS, SIZE, TOKEN, PERSONAL = LABELS, SIZE, TOKEN, PERSONAL
    return Forms
