"""A detector's checkpoint says which categories its labels stand for."""
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmpartref.engine.distributed import unwrapped
from mmpartref.errors import WeightsError
from mmpartref.registry import HOOKS

META_KEY = 'part_categories'


@HOOKS.register_module()
class DetectorCategoriesHook(Hook):
    """Write a ``ReferringDetector``'s categories into its checkpoints, and refuse one of others.

    Labels are numbers: a checkpoint trained on the same number of other categories would load and answer nonsense.
    ``build_runner`` registers this hook for every detector.
    """

    @staticmethod
    def _categories(runner: Runner) -> list[dict[str, str]]:
        model = unwrapped(runner.model)
        return [{'name': each.name, 'super_category': each.super_category, 'part': each.part}
                for each in model.vocabulary.categories]

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the categories to the checkpoint's meta data."""
        checkpoint['meta'][META_KEY] = self._categories(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare them, where the checkpoint has them.

        Raises:
            WeightsError: they differ; the first difference is named.
        """
        theirs, ours = checkpoint.get('meta', {}).get(META_KEY), self._categories(runner)
        if theirs is None or theirs == ours:
            return
        label = next((index for index, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]),
                     min(len(theirs), len(ours)))
        names = [each[label]['name'] if label < len(each) else 'nothing' for each in (theirs, ours)]
        raise WeightsError(f"the checkpoint's categories are not those of the data: label {label} is {names[0]!r} "
                           f'there and {names[1]!r} here; use the json it was trained on')
