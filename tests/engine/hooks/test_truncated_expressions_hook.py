"""The report of expressions that a model does not see as a whole, when model and dataset meet."""
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmpartref.datasets import MixedReferDataset, PartReferDataset
from mmpartref.engine import TruncatedExpressionsHook
from mmpartref.models.text_encoders.clip_tokenizer import CLIPTokenizer

LONG = 'the left side mirror of the small red car'


@pytest.fixture
def dataset(tmp_path) -> PartReferDataset:
    """Six expressions of three refs in two images; three of them, two different ones, are longer than 6 words."""
    content = {
        'images': [{'id': number, 'file_name': f'{number}.png', 'height': 9, 'width': 9} for number in (1, 2)],
        'categories': [{'id': 1, 'name': 'Car Mirror', 'supercategory': 'Car'}],
        'annotations': [{'id': number, 'image_id': image, 'category_id': 1, 'segmentation': [[1, 1, 5, 1, 5, 5]]}
                        for number, image in ((1, 1), (2, 1), (3, 2))],
        'referring': [
            {'id': 'a', 'image_id': 1, 'ann_ids': [1], 'expressions': ['a mirror', LONG]},
            {'id': 'b', 'image_id': 1, 'ann_ids': [2], 'expressions': [LONG, f'{LONG} door']},
            {'id': 'c', 'image_id': 2, 'ann_ids': [3], 'expressions': ['mirror', 'the small red car']}]}
    (tmp_path / 'parts.json').write_text(json.dumps(content))
    return PartReferDataset(ann_file=str(tmp_path / 'parts.json'))


@pytest.fixture
def messages() -> list[str]:
    return []


def run_of(dataset, tokenizer, messages) -> SimpleNamespace:
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(model=SimpleNamespace(data_preprocessor=SimpleNamespace(tokenizer=tokenizer)),
                           train_dataloader=loader, val_dataloader=loader, test_dataloader=loader,
                           logger=SimpleNamespace(warning=messages.append))


@pytest.mark.parametrize('stage', ['before_train', 'before_val', 'before_test'])
def test_truncated_expressions_are_counted_and_named_once(dataset, messages, stage):
    tokenizer, hook = CLIPTokenizer(8), TruncatedExpressionsHook()
    run = run_of(dataset, tokenizer, messages)
    getattr(hook, stage)(run)
    hook.before_val(run)
    assert messages == [
        f"{dataset.ann_file}: 3 of 6 expressions are longer than the 8 tokens of a row, and the model does not see "
        f"their last words: '{LONG}' without 'small red car'; '{LONG} door' without 'small red car door'; raise the "
        "text encoder's word_length, or use fewer words"]
    # The tokenizer does not report them again.
    assert tokenizer.reported == {LONG, f'{LONG} door'}


def test_each_dataset_of_a_mixture_is_reported(dataset, messages):
    mixture = MixedReferDataset([dataset, PartReferDataset(ann_file=dataset.ann_file, id_prefix='b/')])
    TruncatedExpressionsHook().before_train(run_of(mixture, CLIPTokenizer(8), messages))
    assert [message.startswith(f'{dataset.ann_file}: 3 of 6') for message in messages] == [True, True]


def test_nothing_is_reported_where_all_words_fit_or_there_is_no_tokenizer(dataset, messages):
    TruncatedExpressionsHook().before_test(run_of(dataset, CLIPTokenizer(12), messages))
    TruncatedExpressionsHook().before_test(run_of(dataset, None, messages))
    assert not messages


def test_at_most_ten_are_quoted_and_none_is_long(tmp_path, dataset, messages):
    content = json.loads(Path(dataset.ann_file).read_text())
    content['referring'] = [{'id': 'a', 'image_id': 1, 'ann_ids': [1],
                             'expressions': [f'{number} ' + 'wheel ' * 1000 for number in range(30)]}]
    (tmp_path / 'long.json').write_text(json.dumps(content))
    run = run_of(PartReferDataset(ann_file=str(tmp_path / 'long.json')), CLIPTokenizer(8), messages)
    TruncatedExpressionsHook().before_test(run)
    assert '30 of 30 expressions' in messages[0]
    assert '; and 20 more; raise' in messages[0]
    assert len(messages[0]) < 2500
