"""SigLIP's tokenizer on a sentencepiece model trained here."""
import copy
import io
import pickle

import pytest
import sentencepiece

from mmpartref.models.text_encoders.subword_tokenizer import SubwordTokenizer

SENTENCES = ['the tire of the car', 'the wing of the bird', 'a side mirror', 'the foot of the quadruped'] * 20
SIGLIP = dict(eos='</s>', pad='</s>', clean='canonicalize')


@pytest.fixture(scope='module')
def file(tmp_path_factory) -> str:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=40,
                                             hard_vocab_limit=False, minloglevel=2)
    path = tmp_path_factory.mktemp('siglip') / 'spiece.model'
    path.write_bytes(model.getvalue())
    return str(path)


def test_rows_are_the_models_pieces_and_end(file):
    pieces = sentencepiece.SentencePieceProcessor(model_file=file)
    tokenizer = SubwordTokenizer(file, length=32, **SIGLIP)
    assert tokenizer.size == pieces.get_piece_size()
    row = tokenizer(['The tire, of_the CAR!'])[0].tolist()
    words = pieces.encode('the tire of the car')
    end = pieces.piece_to_id('</s>')
    assert row == [*words, *[end] * (32 - len(words))]
    assert pieces.decode(row[:len(words)]) == 'the tire of the car'
    assert tokenizer.end == tokenizer.pad == end


def test_a_long_expression_is_cut_and_ends_all_the_same(file):
    tokenizer = SubwordTokenizer(file, length=4, **SIGLIP)
    long, = tokenizer(['the tire of the car ' * 50]).tolist()
    assert long[:3] == SubwordTokenizer(file, length=32, **SIGLIP)(['the tire of the car'])[0, :3].tolist()
    assert long[3] == tokenizer.end


def test_unseen_words_are_unknown(file):
    pieces = sentencepiece.SentencePieceProcessor(model_file=file)
    assert pieces.unk_id() in SubwordTokenizer(file, length=8, **SIGLIP)(['車'])[0].tolist()


def test_siglip_2s_special_tokens_are_missing_by_name(file):
    with pytest.raises(ValueError, match=r'has no token <eos> or <pad>: set tokenizer\.eos'):
        SubwordTokenizer(file)


@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_gives_the_same_rows(file, duplicate):
    tokenizer = SubwordTokenizer(file, length=16, **SIGLIP)
    assert duplicate(tokenizer)(['the tire']).tolist() == tokenizer(['the tire']).tolist()
