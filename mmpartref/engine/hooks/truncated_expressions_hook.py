"""Report of the expressions of a dataset that are longer than the rows of the model's tokenizer."""
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmpartref.datasets.referring.missing_images import part_datasets
from mmpartref.engine.distributed import unwrapped
from mmpartref.models.text_encoders.fixed_length_tokenizer import LONGER_ROWS, FixedLengthTokenizer
from mmpartref.registry import HOOKS
from mmpartref.text import shown, shown_name

# Expressions that a message quotes.
MAX_NAMED = 10


@HOOKS.register_module()
class TruncatedExpressionsHook(Hook):
    """Count the expressions of which the text encoder does not see all words, before each dataset is first used.

    One warning per dataset names the first of them and the words that are cut. It has no effect for a model without a
    tokenizer, such as a detector.
    """

    def __init__(self) -> None:
        self._checked: list[Any] = []

    def before_train(self, runner: Runner) -> None:
        """Warn about the training dataset."""
        self.check(runner, runner.train_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        """Warn about the validation dataset."""
        self.check(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Warn about the test dataset."""
        self.check(runner, runner.test_dataloader.dataset)

    @master_only
    def check(self, runner: Runner, dataset: Any) -> None:
        """Warn about the truncated expressions of a dataset, once."""
        tokenizer = getattr(unwrapped(runner.model).data_preprocessor, 'tokenizer', None)
        if not isinstance(tokenizer, FixedLengthTokenizer) or any(each is dataset for each in self._checked):
            return
        self._checked.append(dataset)
        for each in part_datasets(dataset):
            counts = count_expressions(each)
            truncated = {text: words for text in counts if (words := tokenizer.truncated(text))}
            if truncated:
                runner.logger.warning(f'{shown_name(each.ann_file)}: ' + describe(truncated, counts, tokenizer.length))
            for text in truncated:
                tokenizer.report(text)


def count_expressions(dataset: Any) -> Counter[str]:
    """Return how often each expression occurs in a ``PartReferDataset``, all expressions of each ref counted."""
    return Counter(text for index in range(len(dataset)) for ref in dataset.get_data_info(index)['refs']
                   for text in ref['expressions'])


def describe(truncated: Mapping[str, str], counts: Counter[str], length: int) -> str:
    """Return how many expressions are truncated, and the first of them with the words that are cut."""
    quoted = '; '.join(f'{shown(text)} without {shown(words)}' for text, words in list(truncated.items())[:MAX_NAMED])
    more = f'; and {len(truncated) - MAX_NAMED:,} more' if len(truncated) > MAX_NAMED else ''
    count = sum(counts[text] for text in truncated)
    return (f'{count:,} of {counts.total():,} expressions are longer than the {length} tokens of a row, and the model '
            f'does not see their last words: {quoted}{more}; {LONGER_ROWS}')
