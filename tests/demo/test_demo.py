"""The demo: wrong arguments, the function of its button, and the page in a browser."""
import base64
import io
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmpartref.apis import PartReferInferencer, PartResult
from mmpartref.demo.__main__ import check_arguments, main, parse_args
from mmpartref.demo.limits import Limits, expressions_of
from mmpartref.demo.page import TOY_NOTICE, build_page, part_names, serve
from mmpartref.demo.predict import predict, save_outputs
from mmpartref.demo.toy_examples import is_toy, toy_examples
from mmpartref.demo.view import layer_of, view_of
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
    config = Config.fromfile(CONFIGS / 'cris_tiny_toyparts.py')
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


def test_a_port_in_use_is_rejected_before_the_model_is_loaded():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with pytest.raises(ValueError, match=r'cannot listen on --host 127\.0\.0\.1 --port .*Address already in use'):
            check_arguments(parse_args(['--port', str(taken.getsockname()[1])]))


def test_missing_gradio_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(SystemExit, match=r"^the demo needs Gradio: pip install 'mmpartref\[demo\]'$"):
        main(['--port', str(free_port())])


def test_expressions():
    assert expressions_of(' car tire \n\n bird head\ncar tire', SMALL) == ['car tire', 'bird head']
    for text, message in [(' \n ', 'There is no expression'),
                          ('a\nb\nc\nd', '4 expressions are more than the limit of 3'),
                          ('x' * 21, 'has 21 characters, more than the limit of 20')]:
        with pytest.raises(ValueError, match=message):
            expressions_of(text, SMALL)


def decoded(picture: str) -> np.ndarray:
    """Return the pixels of a data URL."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.partition(',')[2]))))


def test_a_layer_has_the_probabilities_as_opacity(inferencer, image):
    result = inferencer(image, EXPRESSIONS[0], heat_map=True)[0]
    result['expression'] = EXPRESSIONS[1]
    layer = layer_of(1, result, 0.0123)
    pixels = decoded(layer.picture)
    np.testing.assert_array_equal(pixels[..., 3], np.rint(result.heat_map * 255).astype(np.uint8))
    assert '#{:02x}{:02x}{:02x}'.format(*pixels[0, 0, :3]) == layer.colour
    assert (layer.score, layer.share) == (f'{100 * result.score:.2f}', f'{result.mask.mean():.1%}')
    empty = PartResult(result.image, 'x', np.zeros_like(result.mask), 0.0, heat_map=result.heat_map * 0)
    assert (layer_of(0, empty, 0).score, layer_of(0, empty, 0).share) == ('not found', '')
    shown = view_of(result.image, [layer])
    assert '&lt;b&gt;bird&lt;/b&gt; head' in shown
    assert '<b>' not in shown
    assert 'aspect-ratio:70/50' in shown


def test_the_view_has_a_layer_and_a_row_per_expression(inferencer, image):
    shown = predict(inferencer, Path(image), '\n'.join(EXPRESSIONS), SMALL)
    assert shown.count('class="layer"') == shown.count('class="swatch"') == 2
    assert 'secret name' not in shown


@pytest.mark.parametrize('threshold', [0.2, 0.7])
def test_the_zip_has_masks_at_the_threshold(inferencer, image, tmp_path, threshold):
    path = save_outputs(inferencer, Path(image), '\n'.join(EXPRESSIONS), threshold, SMALL, tmp_path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert list(files) == ['annotations.json', 'secret name_0_car-tire.png', 'secret name_1_b-bird-b-head.png',
                           'secret name_overlay.png']
    coco = json.loads(files['annotations.json'])
    assert [each['file_name'] for each in coco['images']] == ['secret name.png']
    assert str(tmp_path) not in str(files['annotations.json'])
    heat = inferencer(image, EXPRESSIONS[0], heat_map=True)[0].heat_map
    mask = np.asarray(Image.open(io.BytesIO(files['secret name_0_car-tire.png']))) > 0
    np.testing.assert_array_equal(mask, heat > threshold)
    assert coco['annotations'][0]['area'] == mask.sum()


def test_the_zip_at_the_models_threshold_has_the_models_scores(inferencer, image, tmp_path):
    odd = tmp_path / '..jpg'
    Image.open(image).convert('RGB').save(odd, 'JPEG')
    path = save_outputs(inferencer, odd, EXPRESSIONS[0], inferencer.threshold, SMALL, tmp_path)
    result = inferencer(odd, EXPRESSIONS[0])[0]
    with zipfile.ZipFile(path) as archive:
        annotation, = json.loads(archive.read('annotations.json'))['annotations']
    assert (annotation['area'], annotation['score']) == (result.mask.sum(), pytest.approx(result.score))


def test_bad_images_are_rejected_without_their_path(inferencer, tmp_path):
    large, text = tmp_path / 'large.png', tmp_path / 'text.jpg'
    Image.new('RGB', (100, 51)).save(large)
    text.write_text('not an image')
    for path, message in [(None, 'There is no image'), (large, 'The image is 100 x 51 pixels.*max_pixels=5,000'),
                          (text, 'The file is not an image')]:
        with pytest.raises(ValueError, match=message) as error:
            predict(inferencer, path, 'car tire', SMALL)
        assert str(tmp_path) not in str(error.value)


def test_part_names(inferencer):
    names = part_names(Config.fromfile(CONFIGS / 'cris_tiny_toyparts.py'), inferencer.model)
    assert len(names) == 40
    assert ('car', 'side mirror') in names
    assert ('car', 'tire') in names
    other = Config.fromfile(CONFIGS / 'cris_tiny_toyparts.py')
    other.test_dataloader.dataset.type = 'CocoPartReferDataset'
    assert part_names(other, inferencer.model) == []


@pytest.mark.full_mmcv
def test_part_names_of_a_detector_are_its_categories():
    config = Config.fromfile(CONFIGS / 'toyparts/mask_rcnn_tiny_toyparts.py')
    set_categories(config, [{'name': f'Chair {part}', 'super_category': 'chair', 'part': part}
                            for part in ('leg', 'back')], 'the test')
    assert part_names(config, PartReferInferencer(config, device='cpu').model) == [('chair', 'leg'), ('chair', 'back')]


def test_the_default_model_finds_parts_of_its_examples(tmp_path):
    args = parse_args([])
    examples = toy_examples(tmp_path)
    assert len(examples) == 6
    inferencer = PartReferInferencer(args.config)
    found = [each for image, expressions in examples for each in inferencer(image, expressions)]
    # Its mIoU on ToyParts is in the model index; an empty mask among the first drawings would be a bad start.
    assert np.mean([each.score > 0.6 for each in found]) > 0.9


def test_a_toy_model_is_known_by_its_data():
    assert is_toy(Config.fromfile(CONFIGS / 'cris_tiny_toyparts.py'))
    assert is_toy(Config.fromfile(CONFIGS / 'toyparts' / 'cris_tiny_toyparts_joint.py'))
    assert not is_toy(Config.fromfile(CONFIGS / 'cris_r50_partimagenet.py'))


@pytest.fixture(scope='module')
def address(inferencer, image):
    """A served page."""
    limits = Limits(max_pixels=SMALL.max_pixels)
    names = [('car', 'body'), ('car', 'tire'), ('<b>bird</b>', 'head')]
    page = build_page(inferencer, 'Model: tiny', limits, names=names,
                      examples=[(image, EXPRESSIONS)], toy=True)
    yield serve(page, '127.0.0.1', free_port(), limits, block=False)
    page.close()


@pytest.mark.e2e
def test_page_in_a_browser(address, image, browser, browser_errors, wait_for, accessibility_faults):
    from selenium.webdriver.common.keys import Keys
    assert address.startswith('http://127.0.0.1:')
    assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
    browser.get(address)
    wait_for("document.querySelector('#image input[type=file]') && document.querySelector('#expressions textarea')")
    assert TOY_NOTICE.split('**')[1] in browser.find_element('css selector', '#toy').text
    text = browser.find_element('css selector', '#expressions textarea')
    text.send_keys('car tire', Keys.CONTROL, Keys.ENTER)
    wait_for("document.querySelector('#problem [role=alert]')?.innerText.includes('There is no image: drop one')")
    browser.find_element('css selector', '#image input[type=file]').send_keys(image)
    wait_for("document.querySelector('#image img')")
    # Part names fill in the text, and are counted and cleared.
    text.clear()
    time.sleep(0.5)  # Gradio may write an earlier value once more
    for box in EXPRESSIONS:
        browser.execute_script("document.querySelector(`.parts input[value='${arguments[0]}']`).click()", box)
        wait_for(f"document.querySelector('#expressions textarea').value.endsWith('{box}')")
        time.sleep(0.5)
    assert text.get_property('value').splitlines() == EXPRESSIONS
    assert [each.get_property('textContent') for each in browser.find_elements('css selector', '.parts .count')] == [
        '(1 of 2)', '(1 of 1)']
    browser.execute_script("document.querySelector('#clear-names').click()")
    assert text.get_property('value') == ''
    text.send_keys('\n'.join(EXPRESSIONS), Keys.CONTROL, Keys.ENTER)
    wait_for("document.querySelectorAll('#view tbody tr').length === 2")
    wait_for("[...document.querySelectorAll('#view figure img')].filter(each => each.naturalWidth > 0).length === 3")
    assert browser.find_element('css selector', '#problem').text == ''
    rows = [row.text for row in browser.find_elements('css selector', '#view tbody tr')]
    for row, expression in zip(rows, EXPRESSIONS, strict=True):
        assert row.startswith(expression)
        assert row.endswith(' ms')
    # A small image is enlarged; the toggle hides a layer, the slider moves the cut.
    assert browser.execute_script("return document.querySelector('.view img').clientWidth") > 200
    browser.find_element('css selector', '#view tbody input').click()
    assert [each.is_displayed() for each in browser.find_elements('css selector', '.view .layer')] == [False, True]
    number = browser.find_element('css selector', '#threshold input[type=number]')
    number.clear()
    number.send_keys('0.25', Keys.TAB)
    wait_for("document.querySelector('#cut-alpha').getAttribute('intercept') === '-63.75'")
    browser.find_element('css selector', '#save').click()
    wait_for("document.querySelector('#zip a[href]')")
    with urllib.request.urlopen(browser.find_element('css selector', '#zip a').get_attribute('href')) as reply:
        assert len(zipfile.ZipFile(io.BytesIO(reply.read())).namelist()) == 4
    # An error leaves the result.
    text.clear()
    text.send_keys('x' * 201, Keys.CONTROL, Keys.ENTER)
    wait_for("document.querySelector('#problem [role=alert]')?.innerText.includes('201 characters')")
    assert len(browser.find_elements('css selector', '#view tbody tr')) == 2
    assert accessibility_faults() == []
    browser.execute_script("document.body.classList.add('dark')")
    time.sleep(1)  # colours change gradually
    assert accessibility_faults() == []
    if where := os.environ.get('DEMO_SCREENSHOT'):
        browser.save_screenshot(where)
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
    assert len(loaded) > 10
    assert [each for each in loaded if not each.startswith((address, 'data:', 'blob:'))] == []
    assert browser_errors() == []


def call_find(address: str, path: str) -> str:
    """Call the function behind the button as a program would; return the end of its events."""
    data = [{'path': path, 'meta': {'_type': 'gradio.FileData'}}, 'car tire']
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
