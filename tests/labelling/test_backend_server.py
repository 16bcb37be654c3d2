"""The Label Studio backend as a server: its routes, who may call them, sizes, the queue, and its command."""
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mmpartref.apis.formats.labelled_masks import FormatOptions
from mmpartref.images.read_image import ImageReader
from mmpartref.labelling.__main__ import main, parse_args
from mmpartref.labelling.app import BackendLimits, build_app
from mmpartref.labelling.backend import LabelStudioBackend
from mmpartref.labelling.studio_images import StudioImages
from mmpartref.serving.allowed_hosts import allowed_hosts
from mmpartref.serving.http_server import HttpServer

CONFIG = str(Path(__file__).parents[2] / 'configs' / 'cris_tiny_toyparts.py')
CAR = '/data/upload/1/0123abcd-car.png'
LIMITS = BackendLimits(max_body=100_000, max_other=50_000, max_waiting=2)
SECRET = 'me:pass:word'


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Return status and content; an object is sent as JSON, an iterator in chunks."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=hasattr(body, '__next__'))
            reply = connection.getresponse()
            content = reply.read().decode()
            return reply.status, json.loads(content) if content[:1] in '{[' and content else content
        finally:
            connection.close()


@pytest.fixture
def start(studio, inferencer, forms, free_port):
    """Start a backend for the stub; returns a client."""
    images = StudioImages(studio.url, forms.TOKEN, ImageReader(max_pixels=10_000))
    servers = []

    def begin(credentials: str = '') -> Client:
        backend = LabelStudioBackend(inferencer, images, FormatOptions('components'))
        app = build_app(backend, allowed_hosts('127.0.0.1'), LIMITS, credentials)
        servers.append(HttpServer(app, '127.0.0.1', free_port))
        servers[0].start()
        return Client(free_port)
    yield begin
    inferencer.gate.set()
    for server in servers:
        server.close()


def test_what_label_studio_calls(start, inferencer, forms):
    client = start()
    status, health = client.send('GET', '/health')
    assert (status, health['status'], health['model_class']) == (200, 'UP', 'Linear')
    version = health['model_version']
    assert client.send('GET', '/versions') == (200, {'versions': [version]})
    assert client.send('POST', '/setup', {'project': '1.1', 'schema': forms.LABELS, 'hostname': 'http://evil.example',
                                          'access_token': 'x', 'extra_params': None}) == (
        200, {'model_version': version})
    assert client.send('POST', '/webhook', {'action': 'TASKS_CREATED'})[0] == 200
    assert 'does not train' in client.send('POST', '/webhook', {'action': 'START_TRAINING'})[1]['detail']
    status, found = client.send('POST', '/predict', forms.request_of(CAR, CAR))
    assert status == 200
    assert [len(each['result']) for each in found['results']] == [2, 2]
    assert len(inferencer.calls) == 2
    assert client.send('POST', '/predict', forms.request_of()) == (200, {'results': [], 'model_version': version})


def test_a_task_without_its_image_gets_no_prediction(start, forms, capfd):
    client = start()
    request = forms.request_of('http://evil.example/a.png', CAR, '/data/none.png', None)
    request['tasks'].append({'data': {'text': 'no image'}})
    status, found = client.send('POST', '/predict', request)
    assert status == 200
    assert [each if each == [] else len(each['result']) for each in found['results']] == [[], 2, [], [], []]
    lines = capfd.readouterr().out.splitlines()
    assert [line.partition(':')[0] for line in lines] == ['task 1', 'task 3', 'task 4', 'task None']
    assert all('gets no prediction' in line for line in lines)
    # For a user who waits it is an error.
    status, found = client.send('POST', '/predict', forms.request_of('/data/none.png', context=forms.typed('tire')))
    assert (status, found['detail'][:7]) == (422, 'task 1:')


@pytest.mark.parametrize(('method', 'path', 'status'), [
    ('GET', '/', 404), ('GET', '/docs', 404), ('GET', '/openapi.json', 404), ('POST', '/train', 404),
    ('GET', '/health/', 404), ('GET', '/predict', 405), ('POST', '/health', 405), ('DELETE', '/predict', 405),
    ('OPTIONS', '/predict', 405), ('GET', '//health', 404), ('GET', '/../health', 404), ('GET', '/etc/passwd', 404),
])
def test_other_routes_are_closed(start, method, path, status):
    found, content = start().send(method, path)
    assert found == status
    assert content['detail'].endswith(('.', 'webhook.'))


@pytest.mark.parametrize('body', [
    b'', b'{', b'[]', b'1', b'null', b'"a"', b'\xff\xfe', b'[' * 50_000, b'{"a": 1, "a": 2}', b'1' * 5000, {},
    {'tasks': 3},
    {'tasks': [], 'label_config': '<View/>'}, {'tasks': [{'data': {}}], 'params': [], 'label_config': ''},
    {'tasks': [], 'label_config': '<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>'}, {'tasks': [{'data': '\ud800'}]},
], ids=str)
def test_wrong_bodies_are_a_sentence(start, body, capfd):
    client = start()
    status, content = client.send('POST', '/predict', body)
    assert status == 422
    assert isinstance(content['detail'], str)
    assert '\n' not in content['detail']
    assert client.send('POST', '/setup', body)[0] == 422
    assert 'Traceback' not in ''.join(capfd.readouterr())


def test_long_requests_are_rejected(start):
    client = start()
    assert client.send('POST', '/predict', b'x' * 100_001)[0] == 413
    assert client.send('POST', '/predict', iter([b'x' * 50_000] * 3))[0] == 413
    assert client.send('POST', '/predict', b'{}', {'Content-Length': 'x'})[0] == 400
    assert client.send('POST', '/predict', b'x' * 100_000)[0] == 422
    for path in ('/setup', '/webhook'):
        assert client.send('POST', path, b'x' * 50_001)[0] == 413


@pytest.mark.parametrize('headers', [
    {'Host': 'evil.example'}, {'Host': '127.0.0.1.evil.example'}, {'Host': '0.0.0.0'}, {'Host': ''},
    {'Origin': 'http://evil.example'}, {'Origin': 'null'}, {'Sec-Fetch-Site': 'cross-site'},
    {'Sec-Fetch-Site': 'same-site'},
], ids=str)
def test_pages_of_other_servers_get_nothing(start, inferencer, forms, headers):
    client = start()
    assert client.send('POST', '/predict', forms.request_of(CAR), {'Content-Type': 'text/plain', **headers})[0] in (
        400, 403)
    assert not inferencer.calls


def test_a_password(start, forms):
    client = start(SECRET)
    good = {'Authorization': 'Basic bWU6cGFzczp3b3Jk'}
    assert client.send('GET', '/health', headers=good)[0] == 200
    assert client.send('POST', '/predict', forms.request_of(CAR), good)[0] == 200
    for wrong in ('', 'Basic ', 'Basic bWU6cGFzczp3b3Jl', 'Bearer bWU6cGFzczp3b3Jk', 'Basic \xe9'):
        assert client.send('GET', '/health', headers={'Authorization': wrong})[0] == 401
    assert client.send('GET', '/health')[0] == 401
    assert client.send('POST', '/predict', forms.request_of(CAR))[0] == 401
    # Label Studio sends events without a password.
    assert client.send('POST', '/webhook', {'action': 'TASKS_CREATED'})[0] == 200


def wait_until(condition, patience: float = 30) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_runs_at_a_time_and_the_rest_waits(start, inferencer, studio, forms):
    client = start()
    inferencer.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.send, 'POST', '/predict', forms.request_of(*[CAR] * 3))
        wait_until(lambda: inferencer.running == 1)
        second = pool.submit(client.send, 'POST', '/predict', forms.request_of(CAR, context=forms.typed('body')))
        wait_until(lambda: len(studio.seen) == 2)  # the second has its image and waits for its turn
        assert client.send('POST', '/predict', forms.request_of())[0] == 503
        assert client.send('GET', '/health')[0] == 200  # at once
        inferencer.gate.set()
        assert (first.result()[0], second.result()[0]) == (200, 200)
    assert inferencer.most == 1
    # The user who waits does not wait for all tasks of the first.
    assert [len(each) for each in inferencer.calls] == [2, 1, 2, 2]


def test_a_client_that_has_gone_gets_no_more_predictions(start, inferencer, forms, capfd):
    client = start()
    inferencer.gate.clear()
    connection = http.client.HTTPConnection('127.0.0.1', client.port)
    connection.request('POST', '/predict', json.dumps(forms.request_of(*[CAR] * 50)).encode())
    wait_until(lambda: inferencer.running == 1)
    connection.close()
    time.sleep(0.3)
    inferencer.gate.set()
    wait_until(lambda: 'the client disconnected' in capfd.readouterr().out)
    assert len(inferencer.calls) < 10


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--host', '0.0.0.0'], '--allow-remote'), (['--allowed-host', 'a'], '--allow-remote'),
    (['--port', '0'], '--port'), (['--label-studio', 'localhost'], 'http'), (['--device', 'abc'], 'abc'),
    (['--checkpoint', 'none.pth'], 'none.pth'), (['--basic-auth', 'none.txt'], 'none.txt'), ([], 'names no weights'),
])
def test_wrong_arguments(arguments, message, capsys, studio, monkeypatch, forms, free_port):
    monkeypatch.setenv('LABEL_STUDIO_API_KEY', forms.TOKEN)
    standard = {'--port': str(free_port), '--label-studio': studio.url}
    given = [each for pair in standard.items() for each in pair if pair[0] not in arguments]
    with pytest.raises(SystemExit) as caught:
        main(['--config', CONFIG, *given, *arguments])
    assert message in str(caught.value.code) + capsys.readouterr().err


def test_the_file_with_the_password(tmp_path, capsys, free_port):
    for content in ('', 'a', ':b', 'a:', 'a:b\nc:d', 'me:geheimnisträger'):
        (tmp_path / 'auth').write_text(content)
        with pytest.raises(SystemExit) as caught:
            main(['--config', CONFIG, '--port', str(free_port), '--basic-auth',
                  str(tmp_path / 'auth')])
        assert 'user:password' in str(caught.value.code) + capsys.readouterr().err
    for area in ('3', '16'):
        with pytest.raises(SystemExit):
            parse_args(['--config', 'a.py', '--instances', 'one', '--min-area', area])
        assert '--min-area needs' in capsys.readouterr().err


SCRIPT = '''
import sys, threading
sys.path.insert(0, sys.argv[1])
import conftest, signal
# A program that is started in the background, as by nohup, ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from mmpartref.apis.formats.labelled_masks import FormatOptions
from mmpartref.labelling.__main__ import serve
from mmpartref.labelling.app import build_app
from mmpartref.labelling.backend import LabelStudioBackend
from mmpartref.serving.http_server import HttpServer
backend = LabelStudioBackend(conftest.StubInferencer(), print, FormatOptions())
serve(HttpServer(build_app(backend, ['localhost']), '127.0.0.1', int(sys.argv[2])), backend, 'HERE')
'''


def test_a_request_that_never_ends_is_dropped(start, monkeypatch):
    monkeypatch.setattr('mmpartref.serving.exchange.BODY_SECONDS', 0.5)
    client = start()
    with socket.create_connection(('127.0.0.1', client.port), timeout=30) as connection:
        connection.sendall(b'POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{')
        assert b' 408 ' in connection.makefile('rb').readline()


def test_missing_packages_are_one_sentence(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr('importlib.util.find_spec',
                        lambda name, *rest: None if name == 'fastapi' else find(name, *rest))
    with pytest.raises(SystemExit, match=r"needs fastapi: pip install 'mmpartref\[label-studio\]'"):
        main(['--config', CONFIG])


@pytest.mark.parametrize('module', ['labelling', 'demo'])
def test_the_programs_start_without_their_packages(module):
    code = (f"import sys; sys.modules.update(dict.fromkeys(['gradio', 'starlette', 'fastapi', 'uvicorn'])); "
            f"import mmpartref.{module}.__main__")
    subprocess.run([sys.executable, '-c', code], check=True, timeout=300)


@pytest.mark.e2e
def test_it_ends_by_signals(free_port):
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen([sys.executable, '-c', SCRIPT, str(Path(__file__).parent), str(free_port)],
                                   text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env={**os.environ, 'OMP_NUM_THREADS': '1'})
        lines: list[str] = []
        threading.Timer(120, process.kill).start()
        while not lines or 'is at HERE' not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        assert Client(free_port).send('GET', '/health', headers={'Host': 'localhost'})[0] == 200
        process.send_signal(number)
        text = process.communicate(timeout=60)[0]
        assert (process.returncode, 'has ended' in text, 'Traceback' in text) == (0, True, False)
