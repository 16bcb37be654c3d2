"""Categories of a detector's labels in its checkpoints."""
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmpartref.engine.distributed import unwrapped
from mmpartref.errors import WeightsError
from mmpartref.registry import HOOKS

META_KEY = 'part_categories'


@HOOKS.register_module()
class DetectorCategoriesHook(Hook):
    """Save the categories of a ``ReferringDetector`` in its checkpoints, and compare them at loading.

    A checkpoint of the same number of other categories would load, and its predictions would be wrong. ``build_runner``
    adds this hook for every detector.
    """

    @staticmethod
    def _categories(runner: Runner) -> list[dict[str, str]]:
        model = unwrapped(runner.model)
        return [{'name': each.name, 'super_category': each.super_category, 'part': each.part}
                for each in model.vocabulary.categories]

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the categories to the checkpoint's ``meta``."""
        checkpoint['meta'][META_KEY] = self._categories(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the categories, where the checkpoint has them.

        Raises:
            WeightsError: they differ; the message has the first difference.
        """
        theirs, ours = checkpoint.get('meta', {}).get(META_KEY), self._categories(runner)
        if theirs is None or theirs == ours:
            return
        label = next((index for index, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]),
                     min(len(theirs), len(ours)))
        names = [each[label]['name'] if label < len(each) else 'nothing' for each in (theirs, ours)]
        raise WeightsError(f'the categories of checkpoint and data differ: label {label} is {names[0]!r} in the '
                           f'checkpoint and {names[1]!r} in the data; use the json of the training')
