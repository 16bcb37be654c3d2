"""Predictions for Label Studio, and the images it names."""
import numpy as np
import pytest
import torch

from mmpartref.apis.formats.labelled_masks import FormatOptions
from mmpartref.datasets.converters.labelling.label_studio import decode_brush, draw_polygon
from mmpartref.errors import DownloadError, InputError
from mmpartref.images.read_image import ImageReader
from mmpartref.labelling.backend import MAX_TASKS, LabelStudioBackend, weights_hash
from mmpartref.labelling.studio_images import StudioImages

CAR = '/data/upload/1/0123abcd-car.png'


@pytest.fixture
def images(studio, forms) -> StudioImages:
    return StudioImages(studio.url, forms.TOKEN, ImageReader(max_pixels=10_000))


@pytest.fixture
def backend(inferencer, images) -> LabelStudioBackend:
    return LabelStudioBackend(inferencer, images, FormatOptions('components'))


def predict(backend: LabelStudioBackend, request) -> dict:
    """Return the prediction for the first task."""
    return backend.predict(backend.read_image(request.tasks[0], request), request)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def test_all_labels_of_a_project_are_predicted(backend, inferencer, forms):
    request = backend.read_request(forms.request_of(CAR))
    prediction = predict(backend, request)
    assert inferencer.calls == [['car tire', 'car mirror']]
    assert prediction['model_version'] == backend.model_version
    assert prediction['score'] == 0.75
    # Two pieces of the tire; an empty mask gives nothing.
    assert [(each['type'], each['value']['polygonlabels'], each['score']) for each in prediction['result']] == [
        ('polygonlabels', ['car tire'], 0.75)] * 2
    drawn = [draw_polygon(each['value']['points'], forms.SIZE, '') for each in prediction['result']]
    assert iou(drawn[0] | drawn[1], inferencer.mask('tire', forms.SIZE)) > 0.98
    for each in prediction['result']:
        assert (each['from_name'], each['to_name'], each['original_width'], each['original_height']) == (
            'label', 'image', *forms.SIZE[::-1])
        assert 'meta' not in each


def test_a_typed_expression_gets_its_label_or_a_note(backend, forms):
    request = backend.read_request(forms.request_of(CAR, context=forms.typed('the tire of the car')))
    first = predict(backend, request)['result'][0]
    assert (first['value']['polygonlabels'], first['meta']) == (['car tire'], {'text': ['the tire of the car']})
    request = backend.read_request(forms.request_of(CAR, context=forms.typed('car body')))
    first, = predict(backend, request)['result']
    assert (first['type'], 'polygonlabels' in first['value'], first['meta']) == (
        'polygon', False, {'text': ['car body']})


def test_a_suggestion_has_a_new_id_and_a_prediction_the_same(backend, forms):
    ids = {}
    for kind, context in {'typed': forms.typed('car tire'), 'all': None}.items():
        request = backend.read_request(forms.request_of(CAR, context=context))
        ids[kind] = [each['id'] for _ in range(2) for each in predict(backend, request)['result']]
    assert len(set(ids['typed'])) == 4
    assert ids['all'][:2] == ids['all'][2:]


def test_a_click_gets_one_piece(backend, inferencer, forms):
    click = {'result': [{'type': 'keypointlabels', 'value': {'x': 70, 'y': 50, 'keypointlabels': ['car tire']}}]}
    request = backend.read_request(forms.request_of(CAR, context=click))
    region, = predict(backend, request)['result']
    piece = inferencer.mask('tire', forms.SIZE)
    piece[:, :40] = False
    assert iou(draw_polygon(region['value']['points'], forms.SIZE, ''), piece) > 0.98


def test_brushes_are_exact(backend, inferencer, forms):
    config = forms.LABELS.replace('PolygonLabels', 'BrushLabels')
    request = backend.read_request(forms.request_of(CAR, config=config))
    regions = predict(backend, request)['result']
    assert [(each['type'], each['value']['format']) for each in regions] == [('brushlabels', 'rle')] * 2
    masks = [decode_brush(each['value']['rle'], forms.SIZE, '') for each in regions]
    assert np.array_equal(masks[0] | masks[1], inferencer.mask('tire', forms.SIZE))


def test_the_version_is_that_of_the_weights(backend, inferencer, images):
    assert backend.model_version == f'stub/best@{weights_hash(inferencer.model)[:8]}'
    assert LabelStudioBackend(inferencer, images, FormatOptions()).model_version == backend.model_version
    with torch.no_grad():
        inferencer.model.bias[0] += 1
    assert LabelStudioBackend(inferencer, images, FormatOptions()).model_version != backend.model_version
    counted = torch.nn.BatchNorm2d(2).half()
    before = weights_hash(counted)
    counted.num_batches_tracked += 1
    assert weights_hash(counted) != before


def test_setup_and_events(backend, forms):
    assert backend.setup({'schema': forms.LABELS}) == {'model_version': backend.model_version}
    with pytest.raises(InputError, match='PolygonLabels'):
        backend.setup({'schema': '<View/>'})
    assert backend.webhook({'action': 'ANNOTATION_CREATED'}) == {'status': 'ok'}
    with pytest.raises(InputError, match='does not train'):
        backend.webhook({'action': 'START_TRAINING'})


@pytest.mark.parametrize(('change', 'message'), [
    ({'tasks': None}, "'tasks'"), ({'tasks': [1]}, "'tasks'"), ({'tasks': [{'data': 1}]}, "'tasks'"),
    ({'tasks': [{'data': {}}] * (MAX_TASKS + 1)}, '2,001 tasks'), ({'params': [1]}, "'params'"),
    ({'label_config': 3}, 'must be a text'), ({'params': {'context': 1}}, "'context'"),
])
def test_other_requests_are_a_sentence(backend, forms, change, message):
    with pytest.raises(InputError, match=message):
        backend.read_request({**forms.request_of(CAR), **change})


@pytest.mark.parametrize('address', [
    'http://evil.example/data/a.png', 'https://127.0.0.1/data/a.png', '//evil.example/data/a.png', 's3://bucket/a.png',
    'file:///etc/passwd', '/etc/passwd', '/api/users', '/data/../api/users', '/data/%2e%2e/api/users', '/data\\..\\api',
    'data:image/png;base64,AAAA', '', ' ', None, 3, [], 'http://[x', '/logout', 'javascript:alert(1)',
    'HTTP://EVIL.example/data/a.png', 'http://127.0.0.1:1/data/a.png', 'gopher://127.0.0.1/data/a', '/data/\n/a.png',
], ids=repr)
def test_no_other_address_is_fetched(images, studio, address):
    with pytest.raises(InputError):
        images(address)
    assert not studio.seen


def test_an_origin_is_not_taken_from_what_stands_before_an_at_sign(images, studio):
    port = studio.server_port
    for address in (f'http://127.0.0.1:{port}@evil.example/data/a.png', f'http://127.0.0.1:{port}.evil.example/data/a',
                    f'http://127.0.0.1:{port}\\@evil.example/data/a.png'):
        with pytest.raises((InputError, DownloadError)):
            images(address)
    assert not studio.seen


def test_images_with_the_token(images, studio, forms):
    assert images(CAR).size == forms.SIZE
    assert images(studio.url + CAR).size == forms.SIZE
    assert [each[2]['Authorization'] for each in studio.seen] == [f'Token {forms.TOKEN}'] * 2
    studio.files['/data/local-files/?d=a%20b.jpg'] = forms.image_file(kind='JPEG')
    assert images('/data/local-files/?d=a b.jpg').size == forms.SIZE


def test_a_path_in_front_of_label_studio(studio, forms):
    studio.files[f'/ls{CAR}'] = forms.image_file()
    images = StudioImages(f'{studio.url}/ls/', forms.TOKEN, ImageReader())
    assert images(CAR).size == images(f'/ls{CAR}').size == images(f'{studio.url}/ls{CAR}').size == forms.SIZE
    for address in (f'{studio.url}/lsd{CAR}', f'{studio.url}{CAR}', f'{studio.url}/ls/api/users'):
        with pytest.raises(InputError, match='not a file of a task'):
            images(address)


def test_a_personal_token_gives_access_tokens(studio, forms):
    images = StudioImages(studio.url, forms.PERSONAL, ImageReader())
    assert images.check() == ''
    assert images(CAR).size == forms.SIZE
    studio.access = 'access-2'  # the other one expired
    assert images(CAR).size == forms.SIZE
    assert [each[:2] for each in studio.seen] == [
        ('POST', '/api/token/refresh'), ('GET', '/api/current-user/whoami'), ('GET', CAR), ('GET', CAR),
        ('POST', '/api/token/refresh'), ('GET', CAR)]
    assert all(forms.PERSONAL not in str(each) for each in studio.seen)


def test_the_token_is_not_sent_elsewhere(images, studio, monkeypatch):
    for name in ('http_proxy', 'all_proxy', 'HTTP_PROXY'):
        monkeypatch.setenv(name, 'http://127.0.0.1:9')
    other = type(studio)()
    try:
        studio.files['/data/away.png'] = (302, {'Location': f'{other.url}/data/a.png'}, b'')
        with pytest.raises(DownloadError, match='HTTP status 302'):
            images('/data/away.png')
        assert not other.seen
        studio.files['/data/here.png'] = (302, {'Location': '/api/users'}, b'')
        with pytest.raises(DownloadError, match='HTTP status 302'):
            images('/data/here.png')
        assert [each[1] for each in studio.seen] == ['/data/away.png', '/data/here.png']
    finally:
        other.shutdown()
        other.server_close()


def test_a_wrong_token_is_a_sentence(studio):
    for key, message in (('wrong', 'personal one'), ('a.b.wrong', 'personal one'), ('', 'set LABEL_STUDIO_API_KEY')):
        images = StudioImages(studio.url, key, ImageReader())
        with pytest.raises(InputError, match=message):
            images.check()
        with pytest.raises(DownloadError, match=message):
            images(CAR)


@pytest.mark.parametrize('key', ['abc\ndef', 'a b', 'schlüssel', '\x00'])
def test_a_key_that_is_not_a_token_is_not_repeated(studio, key):
    with pytest.raises(InputError) as caught:
        StudioImages(studio.url, key, ImageReader())
    assert key not in str(caught.value)


def test_a_server_that_is_not_there_is_a_warning(free_port, forms):
    assert 'start it' in StudioImages(f'http://127.0.0.1:{free_port}', forms.TOKEN, ImageReader()).check()


@pytest.mark.parametrize('url', ['localhost:8080', 'ftp://localhost', 'http://', 'http://a:b@localhost', 'http://a?b=c',
                                 'http://a:99999', 'file:///tmp'])
def test_wrong_addresses_of_label_studio(url):
    with pytest.raises(InputError):
        StudioImages(url, '', ImageReader())


@pytest.mark.parametrize('content', [b'', b'nothing', b'\x89PNG\r\n\x1a\nxxxx', b'  <!doctype html><html>log in</html>',
                                     (404, {}, b''), (500, {}, b'secret of the server')], ids=str)
def test_what_is_not_an_image_is_a_sentence(images, studio, content):
    studio.files['/data/x.png'] = content
    with pytest.raises((InputError, DownloadError)) as caught:
        images('/data/x.png')
    assert 'secret' not in str(caught.value)


def test_limits_of_images(studio, forms):
    studio.files['/data/large.png'] = forms.image_file((200, 300))
    with pytest.raises(InputError, match='max-pixels'):
        StudioImages(studio.url, forms.TOKEN, ImageReader(max_pixels=59_999))('/data/large.png')
    with pytest.raises(InputError, match='larger than 50 bytes'):
        StudioImages(studio.url, forms.TOKEN, ImageReader(max_bytes=50))('/data/large.png')
    assert StudioImages(studio.url, forms.TOKEN, ImageReader(max_pixels=60_000))('/data/large.png').size == (200, 300)
