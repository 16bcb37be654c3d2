"""Defaults that a dump's header and the log state are read from the classes."""
import pytest
from mmengine.config import Config

from mmpartref.datasets.transforms import Letterbox
from mmpartref.engine.launch.prediction_dump import dump_header
from mmpartref.engine.launch.published_choices import published_choices
from mmpartref.evaluation import ReferringSegMetric
from mmpartref.evaluation.baselines.reference_points import decode_of
from mmpartref.models.detectors import ReferringDetector
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.models.text_encoders import CLIPTextEncoder
from mmpartref.registry import MODELS, argument, resolve

PIPELINE = [{'type': 'LoadImage'}, {'type': 'Letterbox', 'size': 64}]


def config(model: dict) -> Config:
    return Config({'model': model, 'load_from': 'best.pth', 'test_evaluator': {'type': 'ReferringSegMetric'},
                   'test_dataloader': {'dataset': {'ann_file': 'test.json', 'pipeline': PIPELINE}}})


@pytest.fixture
def changed(monkeypatch) -> None:
    """Give the classes other defaults."""
    keywords = ((ReferringDetector, 'resolver', 'oracle'), (ReferringDetector, 'rule', 'top1'),
                (ReferringDetector, 'targets', 'coco_objects'), (ReferringDetector, 'score_threshold', 0.25),
                (ReferringSegmentor, 'decode', 'aligned'), (ReferringSegmentor, 'threshold', 0.75),
                (ReferringSegmentor, 'size_divisor', 64), (CLIPTextEncoder, 'word_length', 20),
                (ReferringSegMetric, 'strict', False))
    for kind, name, value in keywords:
        monkeypatch.setitem(kind.__init__.__kwdefaults__, name, value)
    # size has no default; half_pixel is the first that has one.
    monkeypatch.setattr(Letterbox.__init__, '__defaults__', (True, *Letterbox.__init__.__defaults__[1:]))


@pytest.mark.usefixtures('changed')
def test_the_header_of_a_detectors_dump_has_the_defaults_of_the_class():
    header = dump_header(config({'type': 'ReferringDetector', 'rule': 'union'}))
    assert {key: header[key] for key in ('resolver', 'rule', 'targets', 'score_threshold')} == {
        'resolver': 'oracle', 'rule': 'union', 'targets': 'coco_objects', 'score_threshold': 0.25}


@pytest.mark.usefixtures('changed')
def test_the_header_of_a_segmentors_dump_has_the_defaults_of_the_classes():
    cfg = config({'type': 'ReferringSegmentor', 'text_encoder': {'type': 'CLIPTextEncoder'}})
    header = dump_header(cfg)
    assert (header['decode'], header['threshold']) == ('aligned', 0.75)
    assert header['choices'] == ("decode: 'aligned', mask above 0.75; words: 20 tokens; letterbox: pixel centres in "
                                 'place; Precision@X: IoU >= X')
    decode, _, divisor = decode_of(cfg, cfg.test_dataloader.dataset, 'test')
    assert (decode.name, decode.threshold, divisor) == ('aligned', 0.75, 64)


def test_unchanged_defaults_are_the_published_ones():
    header = dump_header(config({'type': 'ReferringSegmentor', 'text_encoder': {'type': 'CLIPTextEncoder'}}))
    assert (header['decode'], header['threshold']) == ('cris', 0.35)
    assert header['choices'] == ("decode: 'cris', mask above 0.35; words: 17 tokens; letterbox: no half-pixel offset; "
                                 'Precision@X: IoU > X')
    assert published_choices({'model': {'type': 'CLIPZeroShotSegmentor'}}) == {}


class Outer(ReferringDetector):

    def __init__(self, own: int = 3, **kwargs) -> None:
        super().__init__(**kwargs)


class Closed(ReferringDetector):

    def __init__(self, detector: dict) -> None:
        super().__init__(detector=detector)


def test_an_argument_comes_from_the_config_the_class_or_its_base():
    assert argument(MODELS, {'type': Outer, 'own': None}, 'own') is None
    assert argument(MODELS, {'type': Outer}, 'own') == 3
    assert argument(MODELS, {'type': Outer}, 'rule') == 'union'
    assert argument(MODELS, {'type': 'mmpartref.ReferringDetector'}, 'rule') == 'union'
    assert argument(MODELS, {'type': 'ReferringDetector'}, 'detector') is None
    for kind in (Closed, 'Nowhere', None, len):
        assert argument(MODELS, {'type': kind}, 'rule') is None
    assert resolve(MODELS, 'mmpartref.ReferringDetector') is resolve(MODELS, ReferringDetector) is ReferringDetector
