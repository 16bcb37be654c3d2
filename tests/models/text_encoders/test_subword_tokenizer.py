"""Rows of subword tokens with vocabularies made here."""
import copy
import pickle

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from mmpartref.models.text_encoders.subword_tokenizer import SubwordTokenizer, is_after_end

WORDS = ('<pad>', '<eos>', '<unk>', 'the', 'tire', 'of', 'car')


@pytest.fixture
def file(tmp_path):
    whole = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token='<unk>'))
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    whole.save(str(tmp_path / 'tokenizer.json'))
    return str(tmp_path / 'tokenizer.json')


def test_json_rows_end_are_padded_and_cut(file):
    tokenizer = SubwordTokenizer(file, length=4)
    assert tokenizer(['The  TIRE', 'the tire of the car']).tolist() == [[3, 4, 1, 0], [3, 4, 5, 1]]
    assert tokenizer.size == len(WORDS)
    assert tokenizer([]).shape == (0, 4)


def test_padding_and_truncation_of_the_file_are_ignored(file):
    whole = Tokenizer.from_file(file)
    whole.enable_padding(length=8)
    whole.enable_truncation(1)
    whole.save(file)
    assert SubwordTokenizer(file, length=4)(['the tire']).tolist() == [[3, 4, 1, 0]]
    assert not SubwordTokenizer(file, length=4).truncated('the tire')


def test_canonicalize_drops_punctuation(file):
    assert SubwordTokenizer(file, length=4, clean='canonicalize')(['The_tire!']).tolist() == [[3, 4, 1, 0]]


def test_bad_files_and_settings_are_named(file, tmp_path):
    with pytest.raises(FileNotFoundError, match='no tokenizer file'):
        SubwordTokenizer(str(tmp_path / 'none.json'))
    with pytest.raises(ValueError, match='has no token </s>'):
        SubwordTokenizer(file, eos='</s>')
    with pytest.raises(TypeError, match='must be a string'):
        SubwordTokenizer(file)([3])
    (tmp_path / 'bad.model').write_bytes(b'nothing')
    with pytest.raises(ValueError, match='not a sentencepiece model'):
        SubwordTokenizer(str(tmp_path / 'bad.model'))


def test_is_after_end():
    assert is_after_end(torch.tensor([[3, 1, 1, 0], [3, 4, 5, 1]]), 1).tolist() == [[False, False, True, True],
                                                                                 [False] * 4]


@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_gives_the_same_rows(file, duplicate):
    tokenizer = SubwordTokenizer(file, length=4)
    assert duplicate(tokenizer)(['the tire']).tolist() == tokenizer(['the tire']).tolist()
