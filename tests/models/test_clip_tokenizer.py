import pytest
import torch

from mmpartref.models.text_encoders.clip_tokenizer import CLIPTokenizer


def test_rows_start_end_and_pad_as_clip_does():
    rows = CLIPTokenizer(7)(['a dog', ''])
    assert rows.dtype == torch.int64
    assert rows.tolist() == [[49406, 320, 1929, 49407, 0, 0, 0], [49406, 49407, 0, 0, 0, 0, 0]]


def test_a_long_string_keeps_its_end_token():
    row = CLIPTokenizer(5)(['the left foot of the biped behind the fence'])[0].tolist()
    assert len(row) == 5
    assert row[0] == 49406
    assert row[-1] == 49407
    assert 0 not in row


def test_only_strings_are_tokenised():
    with pytest.raises(TypeError, match='must be a string, got int: 3'):
        CLIPTokenizer()(['a dog', 3])
    with pytest.raises(ValueError, match='at least 3, got 2'):
        CLIPTokenizer(2)
