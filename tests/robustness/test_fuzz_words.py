"""Expressions, configs and overrides with something wrong in them."""
import os
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
from mmpartref.engine.config.build_errors import build_errors_explained
from mmpartref.engine.config.config_keys import check_options, check_top_level, top_level_keys
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.errors import (
    MAX_MESSAGE,
    ConfigError,
    InputError,
    MissingFileError,
    MissingPackageError,
    one_sentence_errors,
)
from mmpartref.models.text_encoders.clip_tokenizer import CLIPTokenizer
from mmpartref.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmpartref.tables import Column, Table, to_text
from mmpartref.text import one_line
from mmpartref.visualization.fonts import JOINERS
from mmpartref.visualization.labels import fit_text, text_width

AT_LEAST = 1000
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
def test_expressions_of_an_inferencer(tally: Tally, expressions: Any) -> None:
    found = tally.attempt(lambda: check_expressions(expressions))
    if found is not None:
        # As many as were passed, word for word, and each can be encoded.
        assert found == ([expressions] if isinstance(expressions, str) else list(expressions))
        assert TOKENIZER(found).shape == (len(found), 9)


@BOUNDED
@given(st.lists(things(), max_size=3))
def test_inputs_of_a_tokenizer(tally: Tally, given_texts: list) -> None:
    rows = tally.attempt(lambda: TOKENIZER(given_texts), kinds=(ValueError, TypeError))
    assert rows is None or rows.shape == (len(given_texts), 9)


def sentences() -> st.SearchStrategy:
    """Texts of many words, some of them odd."""
    odd = ['the', 'left', 'mirror', 'antidisestablishmentarianism', '&amp;', 'x' * 300, '\x01', 'Ã©', '犬', "don't",
           '<end_of_text>']
    word = st.one_of(st.sampled_from(odd), st.text(max_size=9))
    return st.one_of(texts(), st.lists(word, max_size=40).map(' '.join))


@BOUNDED
@given(sentences())
@example('\x01' * 5000 + ' head')
@example('a ' * 16_000)
def test_words_that_a_row_does_not_contain(tally: Tally, text: str) -> None:
    """Those that it contains fit; with one word more they do not."""
    cut = tally.attempt(lambda: TOKENIZER.truncated(text))
    words, missing = text.split(), cut.split()
    assert words[len(words) - len(missing):] == missing
    kept = len(words) - len(missing)
    assert kept == 0 or TOKENIZER.truncated(' '.join(words[:kept])) == ''
    if missing:
        assert TOKENIZER.truncated(' '.join(words[:kept + 1]))
        assert TOKENIZER.end in TOKENIZER([text])[0]
        assert text in TOKENIZER.reported


@BOUNDED
@given(sentences(), st.integers(6, 60), st.integers(-5, 500))
def test_labels(tally: Tally, text: str, height: int, width: int) -> None:
    fitted, found = tally.attempt(lambda: fit_text(text, height, width))
    assert fitted.translate(dict.fromkeys(map(ord, JOINERS))).isprintable()
    assert found == text_width(fitted, height)
    assert found <= max(0, width)


@BOUNDED
@given(sentences(), st.sampled_from([InputError, MissingFileError, MissingPackageError]))
def test_messages_with_any_text_in_them(tally: Tally, text: str, kind: type[Exception]) -> None:
    message = str(tally.attempt(lambda: kind(f'{text} is not a file; correct the path')))
    sentence = message.partition(':\n')[0]
    assert sentence.isprintable()
    assert len(sentence) <= MAX_MESSAGE
    assert message.endswith('is not a file; correct the path')
    assert one_line(sentence, MAX_MESSAGE) == sentence
    table = to_text(Table('', [Column('name'), Column('n')], [[text, 1], ['b', 2]]))
    assert len(table.split('\n')) == 3
    assert all(line.isprintable() for line in table.split('\n'))


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
def test_misspelt_types_are_reported_with_the_nearest(registry: Any, what: str, wrong: str, meant: str,
                                                              tally: Tally) -> None:
    with pytest.raises(SystemExit) as caught, one_sentence_errors(), build_errors_explained():
        registry.build({'type': wrong})
    assert caught.value.code == (f"the config has the {what} type '{wrong}', which does not exist; the nearest "
                                 f"valid one is '{meant}'")
    tally.outcomes['rejected'] += 1


def test_misspelt_arguments_are_reported_with_the_nearest(tally: Tally) -> None:
    with pytest.raises(SystemExit) as caught, one_sentence_errors(), build_errors_explained():
        DATASETS.build({'type': 'PartReferDataset', 'ann_file': 'x', 'pipline': []})
    assert caught.value.code == "PartReferDataset has no argument 'pipline'; the nearest valid one is 'pipeline'"
    lacks = r"the config lacks an argument: PartReferDataset.*'ann_file'"
    with pytest.raises(SystemExit, match=lacks), one_sentence_errors(), build_errors_explained():
        DATASETS.build({'type': 'PartReferDataset'})
    tally.outcomes['rejected'] += 2


@pytest.mark.parametrize(('name', 'text', 'complaint'), [
    ('syntax.py', 'x = (', 'SyntaxError'), ('name.py', 'model = y', 'NameError'), ('notes.txt', 'hello', 'OSError'),
    ('zero.py', 'x = 1 / 0', 'ZeroDivisionError'), ('base.py', "_base_ = 'nowhere.py'", 'nowhere'),
    ('list.json', '[1]', ''), ('cut.json', '{"model": ', ''), ('circle.py', "_base_ = ['./circle.py']", 'its own base'),
    ('bytes.py', '\0', '')])
def test_files_that_are_not_configs(name: str, text: str, complaint: str, tmp_path: Path, tally: Tally) -> None:
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


def test_the_tools_end_with_the_sentence_alone(scenes: Path, tiny_config: Callable[[str], Path], tmp_path: Path,
                                               run_script: Callable[..., None], capsys: pytest.CaptureFixture) -> None:
    """train: a json; test: a checkpoint; infer: a type of the config; doctor and convert: a file of another kind."""
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
            (1, 'train', (config, *common), f'{broken} is not a complete json'),
            (1, 'test', (config, text, *common), f'{text} is not a checkpoint'),
            (2, 'infer', (image, 'car tire', '--config', typo, '--checkpoint', text, '--out-dir', tmp_path / 'out'),
             "the config has model.type='ReferringSegmentr'"),
            (2, 'dataset_doctor', (tmp_path / 'nowhere', ), 'nowhere'),
            (2, 'convert_dataset', ('paco', text, '--out', tmp_path / 'out'), f'{text} is not a complete json'),
            (1, 'convert_clip', (text, tmp_path / 'o.pth'), f'{text} is not a checkpoint')):
        with pytest.raises(SystemExit) as caught:
            run_script(tool, *arguments)
        ended = caught.value.code
        printed = capsys.readouterr().err + (ended if isinstance(ended, str) else '')
        assert (ended if isinstance(ended, int) else 1) == code, (tool, printed)
        assert 'Traceback' not in printed, (tool, printed)
        assert sentence in printed.strip().splitlines()[-1], (tool, printed)


def test_a_test_counts_the_expressions_that_the_model_does_not_see(scenes: Path, tiny_config: Callable[[str], Path],
                                                                   tmp_path: Path) -> None:
    """A row of three tokens has space for one word; ToyParts' expressions have two or more."""
    # Runs of one name that start in one second share a logger, and so a log file.
    config = tiny_config("model['text_encoder'].update(word_length=3)\nexperiment_name = 'truncated_expressions'")
    runner = build_runner(load_config(config, data_root=str(scenes), work_dir=str(tmp_path / 'work')))
    figures = runner.test()
    assert figures['refer/truncated_expressions'] == figures['refer/expressions'] > 5
    (log, ) = (tmp_path / 'work').rglob('*.log')
    total = int(figures['refer/expressions'])
    assert f'{total} of {total} expressions are longer than the 3 tokens of a row' in log.read_text()
