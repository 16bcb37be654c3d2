"""Strings with more tokens than a row: which words are cut, and the warning."""
import logging

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from mmpartref.models.data_preprocessor import ReferringDataPreprocessor
from mmpartref.models.text_encoders.clip_tokenizer import CLIPTokenizer
from mmpartref.models.text_encoders.fixed_length_tokenizer import MAX_STRINGS
from mmpartref.models.text_encoders.subword_tokenizer import SubwordTokenizer
from mmpartref.structures import ReferringDataSample

LONG = 'the left side mirror of the small red car'
WORDS = LONG.split()


@pytest.fixture
def words_file(tmp_path) -> str:
    tokens = {'<unk>': 0, '<pad>': 1, '<eos>': 2, **{word: number for number, word in enumerate(sorted(set(WORDS)), 3)}}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token='<unk>'))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / 'tokenizer.json'))
    return str(tmp_path / 'tokenizer.json')


@pytest.mark.parametrize('kept', range(1, 9))
def test_the_words_that_do_not_fit_are_named(kept, words_file):
    # Each of these words is one token of CLIP too.
    assert CLIPTokenizer(kept + 2).truncated(LONG) == ' '.join(WORDS[kept:])
    assert SubwordTokenizer(words_file, length=kept + 1).truncated(LONG) == ' '.join(WORDS[kept:])


def test_nothing_is_named_where_all_words_fit(words_file):
    assert CLIPTokenizer(11).truncated(LONG) == ''
    assert SubwordTokenizer(words_file, length=10).truncated(LONG) == ''
    assert CLIPTokenizer(3).truncated('') == CLIPTokenizer(3).truncated(' \n') == ''


def test_a_word_of_which_a_part_fits_is_named():
    word = 'antidisestablishmentarianism'
    tokens = len(CLIPTokenizer(77)._encode(word))
    assert tokens > 2
    assert CLIPTokenizer(4).truncated(word) == word
    assert CLIPTokenizer(tokens + 2).truncated(f'{word} head') == 'head'


def test_words_behind_the_characters_that_are_encoded_are_named():
    """4,096 control characters are no token, but nothing behind them is encoded."""
    tokenizer = CLIPTokenizer(17)
    assert tokenizer.truncated('\x01' * 5000 + ' head') == '\x01' * 5000 + ' head'
    assert tokenizer.truncated('a ' * 16_000 + 'head') == ' '.join(['a'] * (16_000 - 15) + ['head'])


@pytest.fixture
def warnings_of(monkeypatch):
    """The warnings that a call logs."""
    def listen(call) -> list[str]:
        found: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr('mmpartref.models.text_encoders.fixed_length_tokenizer.print_log',
                          lambda message, logger, level: found.append(message) if level == logging.WARNING else None)
            call()
        return found
    return listen


def test_a_truncated_string_is_reported_once_with_the_words_that_are_cut(warnings_of):
    tokenizer = CLIPTokenizer(8)
    assert warnings_of(lambda: tokenizer(['a dog', LONG, 'a cat', LONG])) == [
        f"'{LONG}' is longer than the 8 tokens of a row; the model does not see its last words 'small red car': raise "
        "the text encoder's word_length, or use fewer words"]
    assert warnings_of(lambda: tokenizer([LONG, 'a dog'])) == []
    (other, ) = warnings_of(lambda: tokenizer([LONG + ' door']))
    assert "last words 'small red car door'" in other


def test_a_report_is_short_and_on_one_line(warnings_of):
    (message, ) = warnings_of(lambda: CLIPTokenizer(8)(['wheel\n\x1b[31m ' * 8000]))
    assert message.isprintable()
    assert len(message) < 400


def test_strings_that_differ_only_behind_the_row_have_one_row_and_are_all_reported(warnings_of):
    tokenizer, rows = CLIPTokenizer(8), []
    texts = [f'{LONG} {end}' for end in ('door', 'wheel', 'hood')]
    assert len(warnings_of(lambda: rows.append(tokenizer(texts)))) == 3
    assert len(torch.unique(rows[0], dim=0)) == 1


def test_the_reported_strings_are_bounded():
    tokenizer = CLIPTokenizer(8)
    for number in range(MAX_STRINGS + 5):
        tokenizer.report(str(number))
    assert len(tokenizer.reported) == 5


def test_samples_of_an_evaluation_have_the_words_that_the_model_does_not_see():
    preprocessor = ReferringDataPreprocessor()
    preprocessor.tokenizer = CLIPTokenizer(8)
    samples = [ReferringDataSample() for _ in range(2)]
    samples[0].expressions, samples[1].expressions = ['a dog', LONG], ['a cat']
    batch = {'inputs': [torch.zeros(3, 32, 32, dtype=torch.uint8)] * 2, 'data_samples': samples}
    assert not any('truncated' in sample for sample in preprocessor(batch, training=True)['data_samples'])
    first, second = preprocessor(batch)['data_samples']
    assert first.truncated == ['', 'small red car']
    assert 'truncated' not in second
