"""Logger hook of which one process writes the metrics of a test."""
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import LoggerHook

from mmpartref.registry import HOOKS


@HOOKS.register_module()
class OneFileLoggerHook(LoggerHook):
    """mmengine's hook; the json with the metrics of a test is written by the main process alone.

    In mmengine 0.10.7 every process writes this file, all at once, which can leave two halves in it.
    """

    def after_test_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Log and write the metrics of a test."""
        if is_main_process():
            super().after_test_epoch(*args, **kwargs)
