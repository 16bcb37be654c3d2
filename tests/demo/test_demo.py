"""The demo: wrong arguments, the function of its button, and the page in a browser."""
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from PIL import Image

from mmpartref.apis import ImageResults, PartReferInferencer, PartResult
from mmpartref.demo.__main__ import check_arguments, main, parse_args
from mmpartref.demo.limits import Limits, expressions_of
from mmpartref.demo.page import TOY_NOTICE, build_page, part_names, serve
from mmpartref.demo.predict import predict
from mmpartref.demo.toy_model import toy_config, toy_model
from mmpartref.engine.launch.detector_config import set_categories
from mmpartref.models.segmentors.mask_decode import get_decode

CONFIGS = Path(__file__).parents[2] / 'configs'
SMALL = Limits(max_pixels=5000, max_expressions=3, max_characters=20)
EXPRESSIONS = ['car tire', '<b>bird</b> head']


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(('127.0.0.1', 0))
        return trial.getsockname()[1]


@pytest.fixture(scope='module')
def image(tmp_path_factory) -> str:
    """A file of 70 x 50 pixels."""
    path = tmp_path_factory.mktemp('image') / 'secret name.png'
    y, x = np.mgrid[:50, :70]
    Image.fromarray(np.stack([3 * x, 5 * y, x + y], axis=2).astype(np.uint8)).save(path)
    return str(path)


@pytest.fixture(scope='module')
def inferencer(image) -> PartReferInferencer:
    """A CRIS with random weights whose masks are neither empty nor full."""
    torch.manual_seed(3)
    config = Config.fromfile(toy_config())
    config.test_dataloader.dataset.pipeline[1].size = 64
    made = PartReferInferencer(config, device='cpu', max_pixels=SMALL.max_pixels)
    middle = float(np.median(made(image, EXPRESSIONS[0], heat_map=True)[0].heat_map))
    made.model.decode = get_decode('aligned', middle)
    return made


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--host', '0.0.0.0'], r'--host 0\.0\.0\.0 would let other machines .* --allow-remote'),
    (['--host', 'example.org'], '--host example.org would let other machines'),
    (['--port', '0'], '--port 0 must be from 1 to 65535'),
    (['--port', '70000'], '--port 70000 must be'),
    (['--device', 'toaster'], 'toaster'),
    (['--config', str(CONFIGS / 'cris_tiny_toyparts.py')], 'all predictions would be random; give --checkpoint'),
])
def test_wrong_arguments_are_rejected(arguments, message):
    args = parse_args(['--port', str(free_port()), *arguments])
    with pytest.raises(ValueError, match=message):
        check_arguments(args)


def test_hosts_that_are_allowed():
    port = str(free_port())
    for arguments in ([], ['--host', 'localhost'], ['--host', '0.0.0.0', '--allow-remote']):
        assert check_arguments(parse_args(['--port', port, *arguments])) == Limits()


def test_a_port_in_use_is_rejected_before_the_training():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with pytest.raises(ValueError, match=r'cannot listen on --host 127\.0\.0\.1 --port .*Address already in use'):
            check_arguments(parse_args(['--port', str(taken.getsockname()[1])]))


def test_missing_gradio_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(SystemExit, match=r"^the demo needs Gradio: pip install 'mmpartref\[demo\]'$"):
        main(['--port', str(free_port()), '--cache', str(tmp_path / 'cache')])
    assert not (tmp_path / 'cache').exists()


def test_expressions():
    assert expressions_of(' car tire \n\n bird head\ncar tire', ['bird head'], SMALL) == ['bird head', 'car tire']
    for text, message in [(' \n ', 'There is no expression'),
                          ('a\nb\nc\nd', '4 expressions are more than the limit of 3'),
                          ('x' * 21, 'has 21 characters, more than the limit of 20')]:
        with pytest.raises(ValueError, match=message):
            expressions_of(text, [], SMALL)


class Recorder:
    """An inferencer that records its results, so that a test compares outputs of the same forward passes."""

    def __init__(self, inferencer: PartReferInferencer) -> None:
        self.inferencer, self.reader = inferencer, inferencer.reader
        self.results: list[PartResult] = []

    def __call__(self, *args, **kwargs) -> ImageResults:
        found = self.inferencer(*args, **kwargs)
        self.results += found
        return found


def test_outputs_are_the_models(inferencer, image):
    recorder = Recorder(inferencer)
    outputs = predict(recorder, Path(image), '\n'.join(EXPRESSIONS), [], SMALL)
    results = ImageResults(inferencer.reader(Path(image)), recorder.results)
    assert [each.expression for each in results] == EXPRESSIONS
    assert 0 < results[0].mask.mean() < 1
    assert len(outputs.pictures) == 4
    np.testing.assert_array_equal(outputs.pictures[0][0], results[0].overlay())
    np.testing.assert_array_equal(outputs.pictures[3][0], results[1].heat_overlay())
    np.testing.assert_array_equal(outputs.overlay, results.overlay())
    assert outputs.pictures[0][1] == f'car tire: mask, score {100 * results[0].score:.2f}'
    assert f'<td>{100 * results[0].score:.2f}</td><td>{results[0].mask.mean():.1%}</td>' in outputs.table
    assert '&lt;b&gt;bird&lt;/b&gt; head' in outputs.table
    assert '<b>' not in outputs.table


def test_bad_images_are_rejected_without_their_path(inferencer, tmp_path):
    large, text = tmp_path / 'large.png', tmp_path / 'text.jpg'
    Image.new('RGB', (100, 51)).save(large)
    text.write_text('not an image')
    for path, message in [(None, 'There is no image'), (large, 'The image is 100 x 51 pixels.*max_pixels=5,000'),
                          (text, 'The file is not an image')]:
        with pytest.raises(ValueError, match=message) as error:
            predict(inferencer, path, 'car tire', [], SMALL)
        assert str(tmp_path) not in str(error.value)


def test_part_names(inferencer):
    names = part_names(Config.fromfile(toy_config()), inferencer.model)
    assert len(names) == 40
    assert 'car side mirror' in names
    assert 'car tire' in names
    other = Config.fromfile(toy_config())
    other.test_dataloader.dataset.type = 'CocoPartReferDataset'
    assert part_names(other, inferencer.model) == []


@pytest.mark.full_mmcv
def test_part_names_of_a_detector_are_its_categories():
    config = Config.fromfile(CONFIGS / 'toyparts/mask_rcnn_tiny_toyparts.py')
    set_categories(config, [{'name': f'Chair {part}', 'super_category': 'chair', 'part': part}
                            for part in ('leg', 'back')], 'the test')
    assert part_names(config, PartReferInferencer(config, device='cpu').model) == ['chair leg', 'chair back']


@pytest.mark.slow
def test_toy_model_is_trained_once(tmp_path, capfd):
    def make():
        return toy_model(tmp_path, splits={'train': 4, 'val': 1, 'test': 2}, options={
            'train_cfg.max_epochs': 1, 'train_dataloader.num_workers': 0, 'val_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False, 'val_dataloader.persistent_workers': False})
    first = make()
    written = first.checkpoint.stat().st_mtime_ns
    assert 'training a toy model on drawings, once' in capfd.readouterr().out
    assert make() == first
    assert first.checkpoint.stat().st_mtime_ns == written
    assert 'training' not in capfd.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [first.checkpoint.parent.name]
    assert len(first.examples) == 2
    found = PartReferInferencer(first.config, first.checkpoint, 'cpu')(*first.examples[0])
    assert [each.expression for each in found] == first.examples[0][1]
    # The training's log went with its folder.
    print_log('written after it', 'current')


@pytest.fixture(scope='module')
def address(inferencer, image):
    """A served page."""
    limits = Limits(max_pixels=SMALL.max_pixels)
    page = build_page(inferencer, 'Model: tiny', limits, names=['car body', 'car tire'],
                      examples=[(image, EXPRESSIONS)], toy=True)
    yield serve(page, '127.0.0.1', free_port(), limits, block=False)
    page.close()


@pytest.mark.e2e
def test_page_in_a_browser(address, image, browser, browser_errors, wait_for):
    assert address.startswith('http://127.0.0.1:')
    assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
    browser.get(address)
    wait_for("document.querySelector('#image input[type=file]') && document.querySelector('#expressions textarea')")
    assert TOY_NOTICE.split('**')[1] in browser.find_element('css selector', '#toy').text
    browser.find_element('css selector', '#expressions textarea').send_keys('\n'.join(EXPRESSIONS))
    browser.find_element('css selector', '#find').click()
    wait_for("document.body.innerText.includes('There is no image: drop one')")
    browser.find_element('css selector', '#image input[type=file]').send_keys(image)
    wait_for("document.querySelector('#image img')")
    browser.find_element('css selector', '#find').click()
    wait_for("document.querySelectorAll('#table tbody tr').length === 2")
    wait_for("document.querySelector('#overlay img')?.naturalWidth > 0")
    wait_for("[...document.querySelectorAll('#pictures img')].filter(each => each.naturalWidth > 0).length >= 4")
    rows = [row.text for row in browser.find_elements('css selector', '#table tbody tr')]
    for row, expression in zip(rows, EXPRESSIONS, strict=True):
        assert row.startswith(expression)
        assert row.endswith(' ms')
    if where := os.environ.get('DEMO_SCREENSHOT'):
        browser.save_screenshot(where)
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
    assert len(loaded) > 10
    assert [each for each in loaded if not each.startswith((address, 'data:', 'blob:'))] == []
    assert browser_errors() == []


def call_find(address: str, path: str) -> str:
    """Call the function behind the button as a program would; return the end of its events."""
    data = [{'path': path, 'meta': {'_type': 'gradio.FileData'}}, 'car tire', []]
    request = urllib.request.Request(f'{address}gradio_api/call/find', json.dumps({'data': data}).encode(),
                                     {'Content-Type': 'application/json'})
    with urllib.request.urlopen(request, timeout=60) as reply:
        event = json.load(reply)['event_id']
    with urllib.request.urlopen(f'{address}gradio_api/call/find/{event}', timeout=60) as reply:
        return reply.read().decode()


@pytest.mark.e2e
def test_addresses_and_the_servers_files_are_not_uploads(address, image):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen()
        server.setblocking(False)
        assert 'must be uploaded' in call_find(address, f'http://127.0.0.1:{server.getsockname()[1]}/a.png')
        with pytest.raises(BlockingIOError):  # no call was made
            server.accept()
    reply = call_find(address, image)
    assert 'event: error' in reply
    assert 'table' not in reply


@pytest.mark.e2e
def test_a_file_beyond_the_limit_is_not_taken(address):
    body = (b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' +
            bytes(Limits.max_bytes + 1) + b'\r\n--x--\r\n')
    request = urllib.request.Request(f'{address}gradio_api/upload', body,
                                     {'Content-Type': 'multipart/form-data; boundary=x'})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=60)
    assert error.value.code == 413


def test_requests_wait_in_a_queue_of_limited_length_and_run_one_by_one(inferencer):
    page = build_page(inferencer, 'Model: mine', Limits(max_waiting=5))
    assert page._queue.max_size == 5
    assert {each.concurrency_limit for each in page.fns.values() if each.api_name == 'find'} == {1}


def test_page_without_a_toy_does_not_claim_one(inferencer):
    page = build_page(inferencer, 'Model: mine', Limits())
    assert TOY_NOTICE not in str(page.config)
    assert 'Model: mine' in str(page.config)
