"""The backend with a real Label Studio server: predictions of a project, a typed expression, and its page in a browser.

Label Studio has an environment of its own, made by `make test-e2e`: its packages do not fit those of the tests.
"""
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.formats.labelled_masks import FormatOptions
from mmpartref.datasets.converters.labelling.label_studio import convert_label_studio, draw_polygon
from mmpartref.demo.toy_examples import NAME, toy_examples
from mmpartref.images.read_image import ImageReader
from mmpartref.labelling.app import build_app
from mmpartref.labelling.backend import LabelStudioBackend
from mmpartref.labelling.studio_images import StudioImages
from mmpartref.serving.allowed_hosts import allowed_hosts
from mmpartref.serving.http_server import HttpServer, listen

pytestmark = pytest.mark.e2e

SERVER = Path(sys.prefix) / 'label-studio' / 'bin' / 'label-studio'
USER, PASSWORD = 'user@example.com', 'password-of-the-test'
# Seconds; the first start makes the database.
PATIENCE = 300
PARTS = ('aeroplane wing', 'aeroplane tail')
LABELS = ''.join(f'<Label value="{part}"/>' for part in PARTS)
CONFIG = ('<View><Image name="image" value="$image"/><TextArea name="expression" toName="image" '
          'showSubmitButton="true" placeholder="the wing of the aeroplane"/>'
          f'<PolygonLabels name="label" toName="image">{LABELS}</PolygonLabels></View>')


def free_port() -> int:
    return next(number for number in range(18080, 18180) if is_free(number))


def is_free(port: int) -> bool:
    try:
        listen('127.0.0.1', port).close()
    except ValueError:
        return False
    return True


class Studio:
    """A client of a Label Studio server with a user's rights."""

    def __init__(self, url: str) -> None:
        import httpx
        self.url = url
        self.session = httpx.Client(base_url=url, follow_redirects=True, timeout=120)
        page = self.session.get('/user/login/').text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        self.session.post('/user/login/', data={'email': USER, 'password': PASSWORD, 'csrfmiddlewaretoken': token})
        self.session.headers.update({'X-CSRFToken': self.session.cookies['csrftoken'], 'Referer': url})
        self.token = self.call('POST', '/api/token/')['token']

    def call(self, method: str, path: str, **options: Any) -> Any:
        reply = self.session.request(method, path, **options)
        assert reply.status_code < 300, (path, reply.status_code, reply.text[:500])
        return reply.json()


@pytest.fixture(scope='module')
def studio(tmp_path_factory) -> Iterator[Studio]:
    if not SERVER.is_file():
        reason = f'{SERVER} is missing; make test-e2e installs it'
        pytest.fail(reason) if os.environ.get('CI') == 'true' else pytest.skip(reason)
    folder, port = tmp_path_factory.mktemp('label_studio'), free_port()
    log = (folder / 'log.txt').open('wb')
    # Label Studio does not call backends of this machine unless it is told to.
    environment = {**os.environ, 'ML_BLOCK_LOCAL_IP': 'false', 'LABEL_STUDIO_BASE_DATA_DIR': str(folder),
                   'LATEST_VERSION_CHECK': 'false', 'COLLECT_ANALYTICS': 'false', 'SENTRY_DSN': '',
                   'FRONTEND_SENTRY_DSN': ''}
    process = subprocess.Popen(
        [SERVER, 'start', '--no-browser', '--internal-host', '127.0.0.1', '--port', str(port), '--data-dir',
         str(folder), '--username', USER, '--password', PASSWORD], env=environment, stdout=log,
        stderr=subprocess.STDOUT, cwd=folder)
    try:
        deadline = time.monotonic() + PATIENCE
        while is_free(port):
            assert process.poll() is None, (folder / 'log.txt').read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield Studio(f'http://localhost:{port}')
    finally:
        process.terminate()
        process.wait(60)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope='module')
def inferencer() -> PartReferInferencer:
    return PartReferInferencer(NAME, device='cpu')


@pytest.fixture(scope='module')
def drawings(tmp_path_factory) -> list[str]:
    """Two drawings; the first has an aeroplane."""
    examples = toy_examples(tmp_path_factory.mktemp('drawings'))
    first = next(image for image, parts in examples if 'aeroplane wing' in parts)
    return [first, next(image for image, _ in examples if image != first)]


@pytest.fixture(scope='module')
def backend(studio, inferencer) -> Iterator[tuple[LabelStudioBackend, str]]:
    """The backend and its address."""
    port = free_port()
    images = StudioImages(studio.url, studio.token, ImageReader())
    assert images.check() == ''
    made = LabelStudioBackend(inferencer, images, FormatOptions('components'))
    server = HttpServer(build_app(made, allowed_hosts('127.0.0.1')), '127.0.0.1', port)
    server.start()
    yield made, f'http://127.0.0.1:{port}'
    server.close()


@pytest.fixture(scope='module')
def project(studio, backend, drawings) -> int:
    """A project with two images and the backend."""
    number = studio.call('POST', '/api/projects/', json={'title': 'Parts', 'label_config': CONFIG})['id']
    for image in drawings:
        with open(image, 'rb') as file:
            studio.call('POST', f'/api/projects/{number}/import', files={'file': (Path(image).name, file)})
    # Label Studio 1.23 makes the connection, then replies with 403, since it registers no event at a local address.
    studio.session.post('/api/ml/', json={'url': backend[1], 'project': number, 'title': 'CRIS',
                                          'is_interactive': True})
    connected, = studio.call('GET', '/api/ml/', params={'project': number})
    assert connected['url'] == backend[1]
    return number


def tasks_of(studio: Studio, project: int) -> list[dict[str, Any]]:
    return sorted(studio.call('GET', '/api/tasks/', params={'project': project})['tasks'], key=lambda each: each['id'])


def masks_of(result: list[dict[str, Any]], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return the union of the regions of each label."""
    found: dict[str, np.ndarray] = {}
    for region in result:
        drawn = draw_polygon(region['value']['points'], size, '')
        for label in region['value']['polygonlabels']:
            found[label] = found.get(label, np.zeros(size, bool)) | drawn
    return found


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def test_predictions_of_a_project(studio, project, backend, inferencer, drawings, tmp_path):
    ids = [each['id'] for each in tasks_of(studio, project)]
    studio.call('POST', f'/api/dm/actions?id=retrieve_tasks_predictions&project={project}',
                json={'selectedItems': {'all': True, 'excluded': []}, 'project': str(project)})
    predictions = {each['task']: each for each in studio.call('GET', '/api/predictions/', params={'project': project})}
    assert sorted(predictions) == ids
    prediction = predictions[ids[0]]
    assert prediction['model_version'] == backend[0].model_version
    expected = {each.expression: each for each in inferencer(drawings[0], list(PARTS))}
    assert prediction['score'] == pytest.approx(np.mean([each.score for each in expected.values()]), abs=0.1)
    size = Image.open(drawings[0]).size[::-1]
    found = masks_of(prediction['result'], size)
    assert set(found) == set(PARTS)
    for part, mask in found.items():
        assert iou(mask, expected[part].mask) > 0.95
    # Accepted as they are, they come back from the export.
    studio.call('POST', f'/api/tasks/{ids[0]}/annotations/', json={'result': prediction['result']})
    exported = studio.session.get(f'/api/projects/{project}/export', params={'exportType': 'JSON'})
    (tmp_path / 'export.json').write_bytes(exported.content)
    documents, _ = convert_label_studio(tmp_path / 'export.json', ['aeroplane'])
    assert [each['file_name'] for each in documents['export']['images']] == [Path(drawings[0]).name]
    assert {each['name'] for each in documents['export']['categories']} == set(PARTS)


def test_a_typed_expression(studio, project, inferencer, drawings):
    task = tasks_of(studio, project)[0]['id']
    connected, = studio.call('GET', '/api/ml/', params={'project': project})
    typed = {'type': 'textarea', 'from_name': 'expression', 'to_name': 'image', 'value': {'text': ['the tail of the '
                                                                                                  'aeroplane']}}
    reply = studio.call('POST', f'/api/ml/{connected["id"]}/interactive-annotating',
                        json={'task': task, 'context': {'result': [typed]}})
    size = Image.open(drawings[0]).size[::-1]
    found = masks_of(reply['data']['result'], size)
    assert iou(found['aeroplane tail'], inferencer(drawings[0], 'the tail of the aeroplane')[0].mask) > 0.95


def test_its_page(studio, project, browser, wait_for):
    from selenium.webdriver.common.keys import Keys
    browser.get(f'{studio.url}/user/login/')
    browser.find_element('name', 'email').send_keys(USER)
    browser.find_element('name', 'password').send_keys(PASSWORD, Keys.ENTER)
    wait_for("!location.pathname.includes('login')")
    browser.get(f'{studio.url}/projects/{project}/data?task={tasks_of(studio, project)[1]["id"]}')
    browser.get(f'{studio.url}/projects/{project}/data?task={tasks_of(studio, project)[0]["id"]}')
    wait_for("document.querySelector('input[name=expression]')")
    wait_for("document.querySelector('input[class*=toggle__input]')")
    browser.execute_script("document.querySelector('input[class*=toggle__input]').click()")  # Auto-Annotation
    wait_for("document.body.innerText.includes('Auto-Accept')")
    browser.find_element('name', 'expression').send_keys('the tail of the aeroplane', Keys.ENTER)
    wait_for(r"/\d+ suggestion/.test(document.body.innerText)")
    if where := os.environ.get('LABEL_STUDIO_SCREENSHOT'):
        time.sleep(2)
        browser.save_screenshot(where)
