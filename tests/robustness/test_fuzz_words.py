"""Expressions, configs and overrides with something wrong in them."""
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_input import Tally
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from mmpartref.apis.inferencer import check_expressions
from mmpartref.apis.model_building import read_config
from mmpartref.datasets.coco.records import PartName
from mmpartref.datasets.referring.wordings import Wordings, check_templates
from mmpartref.engine.launch.build_errors import build_errors_explained
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.engine.launch.config_check import check_options, check_top_level, top_level_keys
from mmpartref.errors import ConfigError, one_sentence_errors
from mmpartref.models.text_encoders.clip_tokenizer import CLIPTokenizer
from mmpartref.registry import DATASETS, METRICS, MODELS, TRANSFORMS

AT_LEAST = 500
MORE = int(os.environ.get('FUZZ', '1'))
ROOT = Path(__file__).parents[2]
TOKENIZER = CLIPTokenizer(9)
BOUNDED = settings(max_examples=200 * MORE, deadline=None, derandomize=True, database=None,
                   suppress_health_check=list(HealthCheck))


def texts() -> st.SearchStrategy:
    odd = st.sampled_from(['', ' ', '\t\n', '\u200b', '\u200e\u200f', '\ud800', 'a\udfffb', '\0', '\u202egarb',
                           'e\u0301' * 9, '\U0001f468\u200d\U0001f467', '&amp;' * 50, 'x' * 100_000, 'car ' * 25_000,
                           '\x1b[31m', 'שלום', '犬の頭'])
    return st.one_of(odd, st.text(max_size=12), st.text(st.characters(), max_size=40))


BRACES = st.text('{}part:!r[0].super_category ', max_size=16)


def things() -> st.SearchStrategy:
    return st.one_of(texts(), st.none(), st.integers(), st.binary(max_size=4), st.floats(),
                     st.lists(texts(), max_size=2), st.dictionaries(st.text(max_size=2), st.integers(), max_size=1))


@BOUNDED
@given(st.one_of(things(), st.lists(things(), max_size=4)))
@example(None)
@example(7)
@example(b'car')
@example({'car': 1})
@example('\u200b')
@example('car \ud800')
def test_what_an_inferencer_is_asked(tally: Tally, asked: Any) -> None:
    found = tally.attempt(lambda: check_expressions(asked))
    if found is not None:
        # As many as were asked for, word for word, and each can be encoded.
        assert found == ([asked] if isinstance(asked, str) else list(asked))
        assert TOKENIZER(found).shape == (len(found), 9)


@BOUNDED
@given(st.lists(things(), max_size=3))
def test_what_a_tokenizer_is_given(tally: Tally, given_texts: list) -> None:
    rows = tally.attempt(lambda: TOKENIZER(given_texts), kinds=(ValueError, TypeError))
    assert rows is None or rows.shape == (len(given_texts), 9)


@BOUNDED
@given(st.one_of(things(), st.lists(st.one_of(things(), BRACES), max_size=3)))
@example(['{part:>99999999999}'])
@example(['{part!r}'])
@example(['{part:d}'])
@example(['{'])
@example(['{}'])
@example(['{part[0]}'])
def test_templates(tally: Tally, templates: Any) -> None:
    checked = tally.attempt(lambda: check_templates(templates))
    if checked is not None:
        rendered = tally.attempt(lambda: Wordings(checked)(PartName('car', 'wheel'), None))
        assert rendered is None or len(rendered) == len(templates)


def misspelt(words: st.SearchStrategy) -> st.SearchStrategy:
    """Words with a letter less, another or two swapped."""
    def spoil(word: str, place: int, how: str, letter: str) -> str:
        place %= len(word)
        if how == 'drop':
            return word[:place] + word[place + 1:]
        return word[:place] + letter + word[place + (how == 'change'):]

    ways = st.sampled_from(['drop', 'change', 'add'])
    return st.builds(spoil, words, st.integers(0, 99), ways, st.sampled_from('abcxyz'))


@BOUNDED
@given(misspelt(st.sampled_from(sorted(top_level_keys()))))
def test_misspelt_top_level_keys(tally: Tally, key: str) -> None:
    tally.attempt(lambda: check_top_level({key: 1}))
    if key not in top_level_keys() and not key.startswith('_'):
        with pytest.raises(ConfigError, match='nearest valid key is'):
            check_top_level({key: 1})


CONFIG = Config.fromfile(ROOT / 'configs/cris_tiny_toyparts.py').to_dict()


@BOUNDED
@given(st.sampled_from(['model.backbone.layers', 'train_dataloader.batch_size', 'optim_wrapper.optimizer.lr',
                        'train_cfg.max_epochs', 'train_dataloader.dataset.pipeline.3.size',
                        'default_hooks.logger.interval']), st.data())
def test_misspelt_paths(tally: Tally, path: str, data: st.DataObject) -> None:
    parts = path.split('.')
    place = data.draw(st.integers(0, len(parts) - 1))
    parts[place] = data.draw(misspelt(st.just(parts[place])))
    tally.attempt(lambda: check_options(CONFIG, {'.'.join(parts): 1}))


@pytest.mark.parametrize(('registry', 'what', 'wrong', 'meant'), [
    (MODELS, 'model', 'ReferringSegmentr', 'ReferringSegmentor'), (MODELS, 'model', 'CRISNek', 'CRISNeck'),
    (DATASETS, 'dataset', 'PartReferDatset', 'PartReferDataset'), (TRANSFORMS, 'transform', 'LoadImag', 'LoadImage'),
    (METRICS, 'metric', 'ReferringSegmetric', 'ReferringSegMetric')])
def test_misspelt_types_are_answered_with_the_nearest(registry: Any, what: str, wrong: str, meant: str,
                                                              tally: Tally) -> None:
    with pytest.raises(SystemExit) as caught, one_sentence_errors(), build_errors_explained():
        registry.build({'type': wrong})
    assert caught.value.code == (f"the config has the {what} type '{wrong}', which does not exist; the nearest "
                                 f"known one is '{meant}'")
    tally.outcomes['refused'] += 1


def test_misspelt_arguments_are_answered_with_the_nearest(tally: Tally) -> None:
    with pytest.raises(SystemExit) as caught, one_sentence_errors(), build_errors_explained():
        DATASETS.build({'type': 'PartReferDataset', 'ann_file': 'x', 'pipline': []})
    assert caught.value.code == ("the config gives 'pipline' to PartReferDataset, which has no such argument; the "
                                 "nearest valid key is 'pipeline'")
    lacks = r"the config lacks an argument: PartReferDataset.*'ann_file'"
    with pytest.raises(SystemExit, match=lacks), one_sentence_errors(), build_errors_explained():
        DATASETS.build({'type': 'PartReferDataset'})
    tally.outcomes['refused'] += 2


@pytest.mark.parametrize(('name', 'text', 'complaint'), [
    ('syntax.py', 'x = (', 'SyntaxError'), ('name.py', 'model = y', 'NameError'), ('notes.txt', 'hello', 'OSError'),
    ('zero.py', 'x = 1 / 0', 'ZeroDivisionError'), ('base.py', "_base_ = 'nowhere.py'", 'nowhere'),
    ('list.json', '[1]', ''), ('cut.json', '{"model": ', ''), ('circle.py', "_base_ = ['./circle.py']", 'its own base'),
    ('bytes.py', '\0', '')])
def test_configs_that_are_none(name: str, text: str, complaint: str, tmp_path: Path, tally: Tally) -> None:
    path = tmp_path / name
    path.write_text(text)
    for read in (load_config, read_config):
        assert tally.attempt(lambda read=read: read(path), name) is None
        with pytest.raises(ConfigError, match=complaint):
            read(path)


def test_a_config_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / 'bare.py'
    path.write_text('train_cfg = dict(max_epochs=1)')
    with pytest.raises(ConfigError, match=r'bare\.py has no model'):
        build_runner(load_config(path))


def run_tool(name: str, *arguments: object) -> tuple[int, str]:
    """Run a tool in this process; return its exit code and, as Python prints it, the message of its SystemExit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [name, *map(str, arguments)])
        patch.syspath_prepend(str(ROOT / 'tools'))
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
    code = caught.value.code
    return (code, '') if isinstance(code, int) else (1, str(code))


def test_the_tools_end_with_the_sentence_alone(scenes: Path, tiny_config: Callable[[str], Path], tmp_path: Path,
                                               capsys: pytest.CaptureFixture) -> None:
    """train: a json; test: a checkpoint; infer: a type of the config; doctor and convert: a file that is none."""
    config = tiny_config('')
    broken = scenes / 'annotations/train/train.json'
    broken.write_bytes(broken.read_bytes()[:500])
    text = tmp_path / 'text.pth'
    text.write_bytes(b'hello')
    typo = tmp_path / 'typo.py'
    typo.write_text(f"_base_ = {str(config)!r}\nmodel = dict(type='ReferringSegmentr')\n")
    image = sorted((scenes / 'images/test').rglob('*.JPEG'))[0]
    common = ('--data-root', scenes, '--work-dir', tmp_path / 'work')
    for code, tool, arguments, sentence in (
            (1, 'train.py', (config, *common), f'{broken} is not a complete json'),
            (1, 'test.py', (config, text, *common), f'{text} is not a checkpoint'),
            (2, 'infer.py', (image, 'car tire', '--config', typo, '--checkpoint', text, '--out-dir', tmp_path / 'out'),
             "the config has the model type 'ReferringSegmentr'"),
            (2, 'dataset_doctor.py', (tmp_path / 'nowhere', ), 'nowhere'),
            (2, 'convert_dataset.py', ('paco', text, '--out', tmp_path / 'out'), f'{text} is not a complete json'),
            (1, 'convert_clip.py', (text, tmp_path / 'o.pth'), f'{text} is not a checkpoint')):
        found, message = run_tool(tool, *arguments)
        said = capsys.readouterr().err + message
        assert found == code, (tool, said)
        assert 'Traceback' not in said, (tool, said)
        assert sentence in said.strip().splitlines()[-1], (tool, said)
