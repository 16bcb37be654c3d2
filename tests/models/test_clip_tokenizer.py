import copy
import pickle

import pytest
import torch

from mmpartref.models.text_encoders.clip_tokenizer import CLIPTokenizer
from mmpartref.models.text_encoders.fixed_length_tokenizer import MAX_CHARACTERS

START, END = 49406, 49407


def test_rows_start_end_and_pad_as_clip_does():
    rows = CLIPTokenizer(7)(['a dog', ''])
    assert rows.dtype == torch.int64
    assert rows.tolist() == [[START, 320, 1929, END, 0, 0, 0], [START, END, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize('length', [3, 5, 17, 77])
def test_a_truncated_string_ends_with_the_end_token(length):
    row = CLIPTokenizer(length)(['the left foot of the biped behind the fence ' * 20])[0].tolist()
    assert len(row) == length
    assert row[0] == START
    assert row[-1] == END
    assert 0 not in row
    # What is cut is the end: the beginning is that of a longer row.
    assert row[:-1] == CLIPTokenizer(77)(['the left foot of the biped behind the fence ' * 20])[0].tolist()[:length - 1]


# Ids from OpenAI's vocabulary: 1375 head, 320 a, 321 b, 322 c.
@pytest.mark.parametrize(('text', 'ids'), [
    ('Quadruped HEAD', [35831, 2966, 1375]),
    ('café', [15304]),
    ('cafe\u0301', [15304]),
    ('Ｆｕｌｌ width', [1476, 23571]),
    ('schÃ¶n', [844, 7255, 333]),
    ('犬の頭', [163, 232, 105, 21575, 165, 254, 511]),
    ('🚗 tire', [22783, 9362]),
    ('‘quoted’ “text”', [262, 27706, 262, 257, 4160, 257]),
    ('&amp;', [261]),
    ('&amp;amp;', [261]),
    ('&lt;b&gt;head', [283, 321, 285, 1375]),
    ('\ufeff\x00\x01he\x07ad', [1375]),
    ('\ud800head', [39802, 1375]),
    (' \t a\r\n\n b\u00a0c ', [320, 321, 322]),
    ("don't", [847, 713]),
], ids=ascii)
def test_malformed_text_is_cleaned_as_openai_does(text, ids):
    row = CLIPTokenizer(17)([text])[0].tolist()
    assert row == [START, *ids, END] + [0] * (15 - len(ids))


@pytest.mark.parametrize('text', ['', ' ', '\t\r\n', '\u00a0\u2003', '\x00\x01\x1f', '\u200e'], ids=ascii)
def test_nothing_to_read_is_an_empty_row_or_a_short_one(text):
    row = CLIPTokenizer(17)([text])[0].tolist()
    assert row[0] == START
    assert row.count(END) == 1
    assert all(each == 0 for each in row[row.index(END) + 1:])
    if text != '\u200e':
        assert row[1] == END


def test_a_huge_string_is_cut_before_it_is_encoded_and_has_the_same_row(monkeypatch):
    tokenizer = CLIPTokenizer(77)
    letters = ''.join('abcdefghijklmnopqrstuvwxyz'[(index * index * 7 + index // 3) % 26] for index in range(20_000))
    encode, lengths = tokenizer._encoder.encode, []
    with monkeypatch.context() as patch:
        patch.setattr(tokenizer._encoder, 'encode', lambda text: lengths.append(len(text)) or encode(text))
        rows = tokenizer([letters, ' ' * 10**6 + 'head', 'wing ' * 10**4, '🚗' * 10**4])
    # The encoder takes quadratic time.
    assert max(lengths) <= MAX_CHARACTERS
    assert rows[0, -1] == END
    assert rows[1].tolist()[:3] == [START, 1375, END]
    # Merging a longer beginning changes nothing in the row.
    assert tokenizer._encoder.encode(letters[:6000])[:75] == rows[0, 1:-1].tolist()


def test_one_strings_row_does_not_depend_on_its_neighbours():
    texts = ['head', '', '🚗', 'wing ' * 50]
    together = CLIPTokenizer(9)(texts)
    assert torch.equal(together, torch.cat([CLIPTokenizer(9)([text]) for text in texts]))
    assert CLIPTokenizer(9)([]).shape == (0, 9)


def test_only_strings_are_tokenised():
    with pytest.raises(TypeError, match='must be a string, got int: 3'):
        CLIPTokenizer()(['a dog', 3])
    with pytest.raises(ValueError, match='at least 3, got 2'):
        CLIPTokenizer(2)


@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_has_its_own_cache(duplicate):
    tokenizer = CLIPTokenizer(5)
    rows = tokenizer(['the left foot of the biped'])
    other = duplicate(tokenizer)
    assert torch.equal(other(['the left foot of the biped']), rows)
    assert other.reported == tokenizer.reported
    other.max_tokens = 1
    assert other.truncated('a dog') == 'dog'
    assert tokenizer.truncated('a dog') == ''
