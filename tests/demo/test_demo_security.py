"""The demo under attack: files of the server, ways round the limits, other origins, sizes, wrong requests, signals."""
import asyncio
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmpartref.apis import ImageResults, PartResult
from mmpartref.demo import uploads
from mmpartref.demo.__main__ import check_arguments, parse_args
from mmpartref.demo.guard import RequestGuard
from mmpartref.demo.limits import Limits
from mmpartref.demo.page import build_page, serve
from mmpartref.demo.predict import predict
from mmpartref.images.read_image import ImageReader

LIMITS = Limits(max_pixels=100_000, max_bytes=300_000)
SECRET = 'hunter2-of-the-server'
NAMES = [('car', 'body'), ('car', 'tire')]
META = {'_type': 'gradio.FileData'}
UPLOAD, CALL, JOIN = '/gradio_api/upload', '/gradio_api/call/find', '/gradio_api/queue/join'
SAVE = '/gradio_api/call/save'
DIRECT = ['/gradio_api/run/find', '/gradio_api/run/find/', '/gradio_api/api/find', '/gradio_api/api/find/', '/api/find',
          '/run/find', '/api/predict', '/gradio_api/run/predict', '/gradio_api/api/predict', '/gradio_api/call/v2/find']


class Stub:
    """An inferencer whose mask is half of the image; counts how many calls run at once, and waits for ``gate``."""

    def __init__(self) -> None:
        self.reader, self.threshold = ImageReader(max_pixels=LIMITS.max_pixels), 0.5
        self.gate = threading.Event()
        self.gate.set()
        self.lock, self.running, self.most, self.total = threading.Lock(), 0, 0, 0

    def __call__(self, image, expression, heat_map=False) -> ImageResults:
        with self.lock:
            self.running += 1
            self.total += 1
            self.most = max(self.most, self.running)
        assert self.gate.wait(60)
        with self.lock:
            self.running -= 1
        heat = np.linspace(0, 1, image.pixels[..., 0].size, dtype=np.float32).reshape(image.size)
        return ImageResults(image, [PartResult(image, expression, heat > 0.5, 0.5, heat_map=heat)])


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(('127.0.0.1', 0))
        return trial.getsockname()[1]


def png(value: int = 100) -> bytes:
    file = io.BytesIO()
    Image.new('RGB', (40, 30), (value, 50, 50)).save(file, 'PNG')
    return file.getvalue()


class Client:
    """Talks to the page without a library that would correct what is sent."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None,
             timeout: float = 30) -> tuple[int, dict[str, str], str]:
        """Return (status, headers, content); dicts and lists are sent as JSON, an iterator in chunks."""
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body).encode(), {'Content-Type': 'application/json', **(headers or {})}
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=hasattr(body, '__next__'))
            reply = connection.getresponse()
            return (reply.status, {name.lower(): value for name, value in reply.getheaders()},
                    reply.read().decode('utf-8', errors='replace'))
        finally:
            connection.close()

    def upload(self, *contents: bytes, name: str = 'a.png', headers: dict[str, str] | None = None) -> Any:
        """Return (status, paths or error)."""
        status, _, text = self.send('POST', UPLOAD, multipart(contents, name), {**FORM, **(headers or {})})
        return status, json.loads(text) if status == 200 else text

    def find(self, image: Any, *text: Any, path: str = CALL) -> str:
        """Return the reply to a call, and the events that follow one that is accepted."""
        status, _, reply = self.send('POST', path, {'data': [image, *(text or ('tire', ))]})
        if status == 200:
            reply += self.send('GET', f'{path}/{json.loads(reply)["event_id"]}')[2]
        return reply

    def save(self, image: Any) -> str:
        """Return what ``find`` does, of the function that makes a zip."""
        return self.find(image, 'tire', 0.5, path=SAVE)

    def join(self, image: Any) -> str:
        """Return the reply to joining the queue as the page does, and the events that follow."""
        config = json.loads(self.send('GET', '/config')[2])
        number = next(each['id'] for each in config['dependencies'] if each['api_name'] == 'find')
        session = f's{time.monotonic_ns()}'
        status, _, reply = self.send('POST', JOIN, {'data': [image, 'tire'], 'fn_index': number,
                                                    'session_hash': session})
        if status == 200:
            reply += self.send('GET', f'/gradio_api/queue/data?session_hash={session}')[2]
        return reply


FORM = {'Content-Type': 'multipart/form-data; boundary=xx'}


def multipart(contents: Any, name: str = 'a.png', field: str = 'files') -> bytes:
    head = f'--xx\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
    parts = [head + each + b'\r\n' for each in contents]
    return b''.join([*parts, b'--xx--\r\n'])


@pytest.fixture(scope='module')
def stub() -> Stub:
    return Stub()


@pytest.fixture(scope='module')
def client(stub, tmp_path_factory):
    """A served page with an example."""
    example = tmp_path_factory.mktemp('example') / 'drawing.png'
    example.write_bytes(png(7))
    page = build_page(stub, 'Model: stub', LIMITS, names=NAMES, examples=[(str(example), ['car tire', 'bird head'])])
    port = free_port()
    serve(page, '127.0.0.1', port, LIMITS, block=False)
    yield Client(port)
    page.close()


@pytest.fixture(scope='module')
def cache(client) -> Path:
    """The folder of uploads."""
    status, (path, ) = client.upload(png())
    assert status == 200
    return Path(path).parents[1]


@pytest.fixture
def secrets(tmp_path) -> dict[str, Path]:
    """Files that were not uploaded: a text, an image, and one that does not exist."""
    text, image = tmp_path / 'password.txt', tmp_path / 'private.png'
    text.write_text(SECRET)
    image.write_bytes(png(200))
    return {'text': text, 'image': image, 'missing': tmp_path / 'missing.png'}


@pytest.mark.e2e
def test_an_upload_is_processed_by_call_and_by_the_queue(client):
    status, (path, ) = client.upload(png())
    assert status == 200
    for image in ({'path': path, 'meta': META}, {'path': path}):
        assert 'class=\\"view\\"' in client.find(image, 'car tire\n<b>bird</b>')
        assert '"success":true' in client.join(image)
        reply = client.save(image)
        assert 'event: complete' in reply
        assert client.send('GET', f'/gradio_api/file={re.search(r"/[^,]+/masks.zip", reply)[0]}')[0] == 200


# An upload's record as Gradio's clients send it, and forms that its checks do not see.
FORMS = {
    'meta': lambda path: {'path': path, 'meta': META},
    'bare': lambda path: {'path': path},
    'other meta': lambda path: {'path': path, 'meta': {'_type': 'x'}},
    'stream': lambda path: {'path': path, 'is_stream': True, 'meta': META},
    'url': lambda path: {'url': path, 'meta': META},
    'path and url': lambda path: {'path': path, 'url': path, 'orig_name': path, 'meta': META},
    'file url': lambda path: {'path': f'file://{path}', 'meta': META},
    'file route': lambda path: {'path': f'/gradio_api/file={path}', 'meta': META},
    'text': lambda path: path,
    'list': lambda path: [{'path': path}],
    'nested': lambda path: {'path': {'path': path, 'meta': META}},
    'gallery': lambda path: {'image': {'path': path, 'meta': META}, 'caption': None},
    'value': lambda path: {'value': {'path': path, 'meta': META}},
    'update': lambda path: {'__type__': 'update', 'value': path},
    'data url': lambda path: {'path': 'data:text/plain;base64,aHVudGVyMg==', 'url': path, 'meta': META},
    'zero byte': lambda path: {'path': f'{path}\0.png', 'meta': META},
    'dots': lambda path: {'path': f'{os.environ["GRADIO_TEMP_DIR"]}/x/../../../../../../../..{path}'},
    'double slash': lambda path: {'path': f'//{path}'},
    'relative': lambda path: {'path': os.path.relpath(path), 'meta': META},
    'proc': lambda path: {'path': f'/proc/self/root{path}'},
}


@pytest.mark.e2e
@pytest.mark.parametrize('form', FORMS)
def test_no_file_of_the_server_is_read(client, cache, secrets, form, capfd):
    before, replies = client_files(cache), {}
    for kind, path in secrets.items():
        image = FORMS[form](str(path))
        direct = [client.send('POST', route, {'data': [image, 'tire']}) for route in DIRECT[:3]]
        assert all(400 <= status < 500 for status, _, _ in direct)
        replies[kind] = [client.find(image), client.save(image),
                         re.sub(r'[0-9a-f]{32}|\d+\.\d+', '', client.join(image)), *(text for _, _, text in direct)]
        shown = '\n'.join(replies[kind])
        assert SECRET not in shown
        assert str(path.parent) not in shown
        assert path.name not in shown
        assert '"success":true' not in shown
        assert 'complete' not in replies[kind][0] + replies[kind][1]
    without_ids = [[re.sub(r'[0-9a-f]{32}', '', each) for each in texts] for texts in replies.values()]
    assert without_ids[0] == without_ids[1] == without_ids[2], 'a message reveals whether a file exists'
    assert client_files(cache) == before
    assert 'Traceback' not in ''.join(capfd.readouterr())


def client_files(cache: Path) -> set[Path]:
    return {path for path in cache.rglob('*') if path.is_file()}


@pytest.mark.e2e
def test_links_in_the_folder_of_uploads_lead_nowhere(client, cache, secrets):
    for kind, path in secrets.items():
        link = cache / f'link_{kind}.png'
        link.symlink_to(path)
        assert 'event: error' in client.find({'path': str(link), 'meta': META})
        assert client.send('GET', f'/gradio_api/file={link}')[0] == 403
        link.unlink()
    (cache / 'folder').symlink_to(secrets['image'].parent)
    assert 'event: error' in client.find({'path': str(cache / 'folder' / 'private.png')})
    (cache / 'folder').unlink()
    for each in (cache, cache.parent, cache / '..'):
        assert 'event: error' in client.find({'path': str(each), 'meta': META})


@pytest.mark.e2e
@pytest.mark.parametrize('field', [1, 2])
def test_other_fields_take_no_files(client, secrets, field):
    for path in (str(secrets['image']), 'https://example.org/a.png'):
        for value in ({'path': path, 'meta': META}, [{'path': path, 'meta': META}]):
            data = [None, 'tire', 0.5]
            data[field] = value
            for name in (CALL, SAVE):
                status, _, text = client.send('POST', name, {'data': data})
                assert status == 422
                assert path not in text


@pytest.mark.e2e
def test_no_address_is_fetched(client):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen()
        server.setblocking(False)
        address = f'http://127.0.0.1:{server.getsockname()[1]}/a.png'
        for image in ({'path': address, 'meta': META}, {'path': address}, {'url': address}, address):
            assert 'event: complete' not in client.find(image)
        for path in (f'/gradio_api/file={address}', f'/gradio_api/proxy={address}', f'/gradio_api/file/{address}'):
            assert 400 <= client.send('GET', path)[0] < 500
        with pytest.raises(BlockingIOError):  # no call was made
            server.accept()


@pytest.mark.e2e
def test_files_are_given_from_the_folder_of_uploads_only(client, cache, secrets, tmp_path, monkeypatch):
    _, (path, ) = client.upload(png())
    assert client.send('GET', f'/gradio_api/file={path}')[0] == 200
    monkeypatch.chdir(tmp_path)
    cached = tmp_path / '.gradio' / 'cached_examples' / 'a.txt'
    cached.parent.mkdir(parents=True)
    cached.write_text(SECRET)
    addresses = [*map(str, secrets.values()), str(cached), '.gradio/cached_examples/a.txt', '/etc/passwd',
             '/proc/self/environ', f'{cache}/../../../../etc/passwd', f'{cache}/%2e%2e/%2e%2e/etc/passwd',
             '//etc/passwd', '', '/', str(cache), 'file:///etc/passwd', f'{path}%00', 'a' * 5000]
    replies = {client.send('GET', f'/gradio_api/file={each}')[::2] for each in addresses}
    assert len(replies) == 1, replies
    assert replies.pop()[0] == 403
    for route in ('/file=', '/gradio_api/file/', '/gradio_api/stream/', '/static/..', '/assets/../', '/static/%2e%2e/'):
        status, _, text = client.send('GET', f'{route}{secrets["text"]}')
        assert status in (403, 404)
        assert SECRET not in text


@pytest.mark.e2e
@pytest.mark.parametrize(('method', 'path'), [
    *(('POST', each) for each in DIRECT), ('POST', '/gradio_api/component_server'),
    ('POST', '/gradio_api/component_server/'), ('POST', '/gradio_api/process_recording'),
    ('POST', '/gradio_api/vibe-edit'), ('POST', '/gradio_api/vibe-code'),
    ('GET', '/gradio_api/vibe-code'), ('POST', '/gradio_api/cancel'), ('POST', '/gradio_api/reset'), ('POST', '/login'),
    ('GET', '/gradio_api/deep_link?session_hash=a'), ('GET', '/monitoring'), ('GET', '/monitoring/summary'),
    ('GET', '/gradio_api/runs'), ('POST', '/gradio_api/run-history/connect'), ('GET', '/gradio_api/dev/reload'),
    ('GET', '/docs'), ('GET', '/openapi.json'), ('GET', '/gradio_api/openapi.json'), ('GET', '/gradio_api/mcp/sse'),
    ('POST', '/gradio_api/stream/a'), ('GET', '/svelte/a'), ('GET', '/custom_component/a/client/component/x'),
    ('POST', '/'), ('PUT', UPLOAD), ('DELETE', '/'), ('PATCH', '/config'), ('TRACE', '/'), ('OPTIONS', CALL),
    ('POST', '//gradio_api/run/find'), ('POST', '/gradio_api//run/find'), ('POST', '/gradio_api/%72un/find'),
    ('POST', '/x/../gradio_api/run/find'), ('POST', '/gradio_api/call/find/'), ('POST', '/GRADIO_API/run/find'),
])
def test_unused_routes_are_closed(client, stub, method, path):
    before = stub.total
    status, headers, text = client.send(method, path, {'data': [None, 'tire']} if method == 'POST' else None)
    assert status in (404, 405), text
    assert 'access-control-allow-origin' not in headers
    assert re.fullmatch(r'\{"detail": "[^"]+\."\}', text)
    assert stub.total == before


@pytest.mark.e2e
def test_one_runs_and_sixteen_wait_on_every_way_in(client, stub):
    _, (path, ) = client.upload(png())
    image, routes = {'path': path, 'meta': META}, [CALL, *DIRECT]
    stub.most, before = 0, stub.total
    stub.gate.clear()
    try:
        with ThreadPoolExecutor(12) as pool:
            first = client.send('POST', CALL, {'data': [image, 'tire']})
            assert first[0] == 200
            wait_until(lambda: stub.running == 1)
            replies = list(pool.map(lambda number: client.send('POST', routes[number % len(routes)], {
                'data': [image, 'tire'], 'fn_index': 0}), range(11 * 30)))
        accepted = [json.loads(text)['event_id'] for status, _, text in replies if status == 200]
        assert len(accepted) == LIMITS.max_waiting
        assert {status for status, _, _ in replies} == {200, 404, 503}
        assert 'Queue is full' in next(text for status, _, text in replies if status == 503)
        assert stub.running == 1
    finally:
        stub.gate.set()
    wait_until(lambda: stub.total == before + 1 + LIMITS.max_waiting)
    assert 'event: complete' in client.send('GET', f'{CALL}/{accepted[-1]}')[2]
    assert stub.most == 1


def wait_until(condition, patience: float = 30) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.e2e
def test_hosts_are_checked(client):
    for name in ('127.0.0.1', 'localhost', 'LOCALHOST', '[::1]'):
        assert client.send('GET', '/config', headers={'Host': f'{name}:{client.port}'})[0] == 200
    status, _, _ = client.send('GET', '/config', headers={'Host': 'localhost'})
    assert status == 200
    for name in ('evil.example', f'evil.example:{client.port}', '127.0.0.1.evil.example', 'localhost.evil.example', '',
                 'localhost@evil.example', '[evil]', 'www.localhost', '192.168.0.1', '0.0.0.0', 'localhost:1:2',
                 '127.0.0.1, evil.example', 'evil.example#localhost'):
        for method, path in (('GET', '/'), ('GET', '/config'), ('POST', UPLOAD), ('POST', CALL), ('OPTIONS', CALL)):
            status, headers, _ = client.send(method, path, headers={'Host': name, 'Origin': f'http://{name}'})
            assert status == 400, (name, path)
            assert 'access-control-allow-origin' not in headers


@pytest.mark.e2e
@pytest.mark.parametrize('headers', [
    {'Origin': 'http://evil.example'}, {'Origin': 'null'}, {'Origin': 'http://localhost:1'}, {'Origin': ''},
    {'Origin': 'https://127.0.0.1.evil.example'}, {'Origin': 'chrome-extension://127.0.0.1'}, {'Origin': 'http://[x'},
    {'Sec-Fetch-Site': 'cross-site'}, {'Sec-Fetch-Site': 'same-site'}, {'Sec-Fetch-Site': 'SAME-SITE'},
], ids=str)
def test_other_origins_neither_post_nor_upload(client, cache, stub, headers):
    before, total = client_files(cache), stub.total
    assert client.upload(png(99), headers=headers)[0] == 403
    for body in ({'data': [None, 'tire']}, b'{"data": [null, "tire", []]}'):
        for path in (CALL, JOIN, *DIRECT):
            status, given, _ = client.send('POST', path, body, {'Content-Type': 'text/plain', **headers})
            assert status == 403
            assert not [name for name in given if name.startswith('access-control-')]
    preflight = {**headers, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type'}
    status, given, _ = client.send('OPTIONS', CALL, headers=preflight)
    assert status in (403, 405)
    assert not [name for name in given if name.startswith('access-control-')]
    assert 'access-control-allow-origin' not in client.send('GET', '/config', headers=headers)[1]
    assert (client_files(cache), stub.total) == (before, total)


@pytest.mark.e2e
def test_the_page_itself_posts(client):
    same_origin = {'Origin': f'http://127.0.0.1:{client.port}', 'Sec-Fetch-Site': 'same-origin'}
    assert client.upload(png(), headers=same_origin)[0] == 200
    assert client.send('POST', CALL, {'data': [None, 'tire']}, same_origin)[0] == 200


@pytest.mark.e2e
def test_uploads_have_a_total_size(client, cache):
    before = client_files(cache)
    part = bytes(LIMITS.max_bytes)
    assert client.upload(part)[0] == 200
    added = client_files(cache) - before
    assert client.upload(part + b'x')[0] == 413
    assert client.upload(*[part] * 3)[0] == 413
    body = multipart([part] * 3)
    for send in (body, multipart([bytes(2 * LIMITS.max_bytes)]), multipart([part] * 3, field='other')):
        pieces = (send[start:start + 50_000] for start in range(0, len(send), 50_000))
        status, _, text = client.send('POST', UPLOAD, pieces, FORM)
        assert status == 413, text
    for path in (CALL, JOIN):
        assert client.send('POST', path, b'[' * (LIMITS.max_json + 1))[0] == 413
        assert client.send('POST', path, iter([b'[' * 100_000] * 5))[0] == 413
    assert client_files(cache) == before | added


@pytest.mark.e2e
def test_an_upload_that_breaks_off_leaves_nothing(client, cache):
    before = client_files(cache)
    body = multipart([bytes(100_000)])
    with socket.create_connection(('127.0.0.1', client.port)) as connection:
        connection.sendall(f'POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM["Content-Type"]}\r\n'
                           f'Content-Length: {len(body)}\r\n\r\n'.encode() + body[:50_000])
        wait_until(lambda: client_files(cache) != before)
    wait_until(lambda: client_files(cache) == before)


def call(data: Any, **more: Any) -> bytes:
    return json.dumps({'data': data, **more}).encode()


@pytest.mark.e2e
@pytest.mark.parametrize('body', [
    b'', b'{', b'null', b'[]', b'"text"', b'1', b'{}', b'\xff\xfe', b'[' * 100_000, b'{"data":' * 20_000, b'1' * 10_000,
    b'{"data": NaN}', b'--xx', call(None), call({}), call('abc'), call([]), call([None]), call([None] * 3),
    call([None, 'tire', []]), call([1, 'tire']), call([{}, 'tire']), call([{'path': None}, 'tire']),
    call([{'path': 1}, 'tire']), call([{'path': []}, 'tire']), call([[], 'tire']), call([None, 1]),
    call([None, ['tire']]), call([None, {}]), call([None, 'x' * 20_000]), call([None, '\ud800']),
    call([None, 'tire'], session_hash=1), call([None, 'tire'], session_hash='../x'),
    call([None, 'tire'], session_hash='x' * 1000), call([None, 'tire'], session_hash=[]),
], ids=lambda body: repr(body[:50]))
def test_wrong_payloads_are_a_sentence(client, body, capfd):
    for path in (CALL, JOIN):
        status, _, text = client.send('POST', path, body, {'Content-Type': 'application/json'})
        assert status == 422
        assert re.fullmatch(r'\{"detail": "[A-Z\\"].+\."\}', text)
    assert 'Traceback' not in ''.join(capfd.readouterr())


@pytest.mark.e2e
@pytest.mark.parametrize('threshold', [None, '0.5', True, -0.1, 1.1, float('nan'), float('inf'), [], {}, 10**400])
def test_wrong_thresholds_are_a_sentence(client, threshold):
    status, _, text = client.send('POST', SAVE, {'data': [None, 'tire', threshold]})
    assert (status, 'from 0 to 1' in text) == (422, True)


@pytest.mark.e2e
def test_wrong_functions_and_examples_are_a_sentence(client, capfd):
    bodies = [call([None, 'tire'], fn_index=index) for index in (-1, 10**6, 10**400, '0', 0.0, None, True, [], {})]
    config = json.loads(client.send('GET', '/config')[2])
    numbers = {each['api_name']: each['id'] for each in config['dependencies']}
    bodies += [call([value], fn_index=numbers['example'])
               for value in (-1, 1, 10**30, '0', None, True, [], {'path': '/'})]
    for body in bodies:
        status, _, text = client.send('POST', JOIN, body, {'Content-Type': 'application/json'})
        assert status == 422
        assert re.fullmatch(r'\{"detail": ".+\."\}', text)
    for name in ('no_such', 'lambda', 'predict', '0', 'load_example'):
        assert client.send('POST', f'/gradio_api/call/{name}', {'data': [None, 'tire']})[0] == 422
    assert 'Traceback' not in ''.join(capfd.readouterr())


@pytest.mark.e2e
@pytest.mark.parametrize(('body', 'kind'), [
    (b'', FORM['Content-Type']), (b'no form', FORM['Content-Type']), (b'--xx\r\n', FORM['Content-Type']),
    (multipart([png()]), 'multipart/form-data'), (multipart([png()]), 'text/plain'), (b'{}', 'application/json'),
    (multipart([png()])[:60], FORM['Content-Type']), (b'--xx\r\n\r\nx\r\n--xx--\r\n', FORM['Content-Type']),
    (b'--xx\r\nContent-Disposition: form-data; name="files"\r\n\r\nnot a file\r\n--xx--\r\n', FORM['Content-Type']),
    (b'--xx\r\nContent-Disposition: form-data; filename="a"\r\n\r\nx\r\n--xx--\r\n', FORM['Content-Type']),
    (b'--xx\r\n' + b'A: ' + b'x' * 20_000 + b'\r\n\r\nx\r\n--xx--\r\n', FORM['Content-Type']),
    (multipart([png()], name='../../../etc/x.png'), FORM['Content-Type']),
    (multipart([png()], name='..'), FORM['Content-Type']), (multipart([png()], name='x' * 3000), FORM['Content-Type']),
    (multipart([b'']), FORM['Content-Type']),
    (multipart([png()]), 'multipart/form-data; boundary=xx; charset=nonsense'),
    (multipart([png()]), f'multipart/form-data; boundary={"x" * 3000}'),
])
@pytest.mark.parametrize('query', ['', '?upload_id=a'])
def test_wrong_uploads_are_no_error_of_the_server(client, cache, body, kind, query, capfd):
    outside = {path for path in cache.parent.iterdir() if path != cache}
    status, _, text = client.send('POST', UPLOAD + query, body, {'Content-Type': kind})
    assert status in (200, 400, 413), text
    if status == 200:
        assert all(Path(each).is_relative_to(cache) for each in json.loads(text))
    assert not {path for path in cache.parent.iterdir() if path != cache and path.name.startswith('x')} - outside
    assert 'Traceback' not in ''.join(capfd.readouterr())


@pytest.mark.e2e
@pytest.mark.parametrize(('path', 'headers'), [
    ('/?page=no_such', {}), ('/config?page=no_such&deep_link=../x', {}), ('/?deep_link=a', {}),
    ('/config', {'X-Forwarded-Host': 'a b'}), ('/config', {'X-Forwarded-Host': 'evil.example'}),
    ('/config', {'X-Forwarded-Proto': '\x01', 'X-Forwarded-For': 'x'}), ('/', {'Forwarded': 'host=evil.example'}),
    ('/', {'Cookie': 'access-token=x'}), ('/config', {'Authorization': 'Bearer x'}),
    ('/theme.css', {'Range': 'bytes=1-2-3'}), ('/gradio_api/queue/data', {}),
    ('/gradio_api/queue/data?session_hash=no_such', {}), ('/gradio_api/upload_progress', {}),
    ('/gradio_api/call/find/no_such', {}), ('/gradio_api/call/no_such/no_such', {}), ('/gradio_api/info?page=x', {}),
    ('/static/no_such', {}), ('/assets/no_such', {}), ('/static/', {}), ('/favicon.ico', {}), ('/robots.txt', {}),
    ('/manifest.json', {}), ('/gradio_api/queue/status', {}), ('/gradio_api/startup-events', {}),
])
def test_wrong_questions_are_no_error_of_the_server(client, path, headers, capfd):
    status, _, text = client.send('GET', path, headers=headers)
    assert status in (200, 400, 403, 404, 422)
    assert 'evil.example' not in text
    time.sleep(0.05)
    assert 'Traceback' not in ''.join(capfd.readouterr())


@pytest.mark.e2e
def test_ranges_of_files(client):
    _, (path, ) = client.upload(png())
    for value in ('bytes=0-9', 'bytes=1-2-3', 'bytes=9-1', 'bytes=-1', 'bytes=5-99999', 'x'):
        assert client.send('GET', f'/gradio_api/file={path}', headers={'Range': value})[0] == 200


@pytest.mark.e2e
def test_repeated_headers_are_rejected(client):
    with socket.create_connection(('127.0.0.1', client.port)) as connection:
        connection.sendall(b'GET /config HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n')
        assert b' 400 ' in connection.makefile('rb').readline()


def test_images_that_cannot_be_read_are_a_sentence_without_path_and_content(tmp_path):
    stub, cases = Stub(), {
        'text.jpg': (SECRET.encode(), 'The file is not an image'), 'empty.png': (b'', 'The file is not an image'),
        'page.html': (b'<html>' + SECRET.encode(), 'The file is not an image'),
        'x.heic': (b'\0\0\0\x18ftyp' + SECRET.encode(), 'The file is not an image'),
        'cut.png': (png()[:-40], 'The image cannot be decoded'), 'head.png': (png()[:12], 'The file is not an image'),
        'vector.svg': (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'The file is not an image'),
        'script.eps': (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', 'The file is not an image')}
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f'^{message}') as error:
            predict(stub, path, 'tire', LIMITS)
        for hidden in (str(tmp_path), name, SECRET[:4], "b'"):
            assert hidden not in str(error.value)
    with pytest.raises(ValueError, match=r'^The file is not an image'):
        predict(stub, tmp_path / 'missing.png', 'tire', LIMITS)


@pytest.mark.e2e
def test_examples_fill_the_fields_and_are_run(client, stub, browser, browser_errors, wait_for):
    browser.get(f'http://127.0.0.1:{client.port}/')
    wait_for("document.querySelector('#examples tbody tr')")
    browser.find_element('css selector', '#examples tbody tr').click()
    wait_for("document.querySelector('#image img') && "
             "document.querySelector('#expressions textarea').value === 'car tire\\nbird head'")
    wait_for("document.querySelectorAll('#view tbody tr').length === 2")  # without another click
    assert 'A request needs up to' in browser.find_element('css selector', '#memory').text
    assert browser_errors() == []


SCRIPT = '''
import faulthandler, signal, sys
faulthandler.dump_traceback_later(50)
sys.path[:0] = [sys.argv[2], sys.argv[3]]
from test_demo_security import LIMITS, Stub, build_page, serve
from mmpartref.demo.uploads import upload_folder
# A program that is started in the background, as by nohup, ignores them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
serve(build_page(Stub(), 'stub', LIMITS), '127.0.0.1', int(sys.argv[1]), LIMITS)
assert before == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
assert not any(upload_folder().iterdir())
print('handlers restored')
'''


@pytest.mark.e2e
def test_uploads_are_deleted_however_the_program_ends(tmp_path):
    here = Path(__file__).parent
    started = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        folder, port = tmp_path / str(number.value), free_port()
        folder.mkdir()
        started.append((number, folder, port, subprocess.Popen(
            [sys.executable, '-c', SCRIPT, str(port), str(here), str(here.parents[1])], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, 'GRADIO_TEMP_DIR': str(folder), 'OMP_NUM_THREADS': '1'})))
    try:
        for number, folder, port, process in started:
            lines = []
            while not lines or 'the page is at' not in lines[-1]:
                lines.append(process.stdout.readline())
                assert lines[-1], lines
            for value in range(3):
                assert Client(port).upload(png(value))[0] == 200
            assert len([path for path in folder.rglob('*') if path.is_file()]) == 3
            assert [path.stat().st_mode & 0o77 for path in folder.iterdir()] == [0]
            process.send_signal(number)
            text = process.communicate(timeout=60)[0]
            assert process.returncode == 0, text
            assert 'handlers restored' in text
            assert 'Traceback' not in text
            assert list(folder.iterdir()) == []
    finally:
        for *_, process in started:
            process.kill()


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--allowed-host', 'gpu1'], 'add --allow-remote'),
    (['--allow-remote', '--allowed-host', '*'], 'must be a host name'),
    (['--allow-remote', '--allowed-host', 'http://gpu1'], 'must be a host name'),
    (['--allow-remote', '--allowed-host', 'gpu1:80'], 'must be a host name'),
])
def test_names_of_hosts_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_arguments(parse_args(['--port', str(free_port()), *arguments]))


def test_uploads_on_their_way_count_as_stored():
    """Many slow uploads at once would otherwise each find the room that is left."""
    async def app(scope, receive, send):
        raise AssertionError('no upload should get here')

    limits = Limits(max_bytes=100_000, max_stored=1_000_000)
    guard = RequestGuard(app, None, limits)
    guard.uploading = limits.max_stored
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {'type': 'http.request', 'body': b'', 'more_body': False}

    scope = {'type': 'http', 'method': 'POST', 'path': '/gradio_api/upload', 'query_string': b'',
             'headers': [(b'host', b'127.0.0.1'), (b'content-type', b'multipart/form-data; boundary=x')]}
    asyncio.run(guard(scope, receive, send))
    assert sent[0]['status'] == 503
    assert guard.uploading == limits.max_stored


def test_room_for_uploads(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, 'upload_folder', lambda: tmp_path)
    now, ages = time.time(), {'expired': 4000, 'older': 2000, 'old': 1000, 'new': 10, 'example': 9000}
    for name, age in ages.items():
        path = tmp_path / name / 'a.png'
        path.parent.mkdir()
        path.write_bytes(bytes(100_000))
        os.utime(path, (now - age, now - age))
    keep = {tmp_path / 'example' / 'a.png'}
    assert uploads.make_room(keep, 10**9) == 300_000
    assert uploads.make_room(keep, 250_000) == 200_000
    assert uploads.make_room(keep, 0) == 100_000
    assert {path.parent.name for path in tmp_path.rglob('*.png')} == {'new', 'example'}
    for number in range(3):
        (tmp_path / str(number)).touch()
    assert uploads.make_room(keep, 0) == 100_000 + 3 * uploads.FILE_BYTES
