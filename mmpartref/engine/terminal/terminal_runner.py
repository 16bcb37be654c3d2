"""Runner whose terminal shows a summary of its log, and whose metrics score while the network runs."""
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmpartref.engine.background_evaluator import BackgroundEvaluator
from mmpartref.run_log import continue_in, prints_as_details


class TerminalRunner(Runner):
    """mmengine's runner; within ``run_log`` config, environment and hooks are in the log file only.

    What libraries print while they read checkpoints and annotations is logged. Validations and tests have a
    ``BackgroundEvaluator`` in place of mmengine's ``Evaluator``; other classes of evaluators stay.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Return the logger of the run."""
        before = MMLogger.get_current_instance()
        logger = super().build_logger(*args, **kwargs)
        continue_in(logger, before)
        return logger

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint, as mmengine."""
        with prints_as_details():
            return super().load_checkpoint(*args, **kwargs)

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """Build an evaluator; arguments as mmengine's."""
        built = super().build_evaluator(evaluator)
        return BackgroundEvaluator(built.metrics) if type(built) is Evaluator else built

    @staticmethod
    def build_dataloader(*args: Any, **kwargs: Any) -> DataLoader:
        """Build a dataloader and its dataset, as mmengine."""
        with prints_as_details():
            return Runner.build_dataloader(*args, **kwargs)
