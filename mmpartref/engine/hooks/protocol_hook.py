"""A zero-shot result is one only if the checkpoint was trained on the protocol that it is tested on."""
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner

from mmpartref.datasets.protocols import OOD
from mmpartref.datasets.protocols.protocol import describe_identity
from mmpartref.errors import ConfigError, WeightsError
from mmpartref.registry import HOOKS

Identity = Mapping[str, Any]


def same_split(one: Identity, two: Identity) -> bool:
    """Whether two protocols draw the same line, whichever side they show."""
    return (one['name'], one['fold']) == (two['name'], two['fold'])


@HOOKS.register_module()
class ProtocolHook(Hook):
    """Hold the protocols of training data, validation data, test and checkpoint against one another.

    A data set's protocol is in its ``metainfo`` and so in every checkpoint's ``meta['dataset_meta']``.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare the data sets of a training.

        Raises:
            ConfigError: validation follows another protocol than training, or shows another side of it.
        """
        train = runner.train_dataloader.dataset.metainfo.get('protocol')
        if train is None or runner.val_loop is None:
            return
        val = runner.val_loop.dataloader.dataset.metainfo.get('protocol')
        if val is None or not same_split(train, val) or (train['name'] != OOD and train['role'] != val['role']):
            raise ConfigError(f'training follows protocol {describe_identity(train)}, validation '
                              f"{describe_identity(val) if val else 'none'}, and would choose the best checkpoint by "
                              'what training may not see; give both data sets the same protocol')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare what a test is about with what the checkpoint was trained on, where it says so.

        Raises:
            WeightsError: they differ.
        """
        for wanted in self.tested(runner):
            meta = checkpoint.get('meta', {}).get('dataset_meta')
            if meta is None:
                print_log('the checkpoint does not say what it was trained on; whether what protocol '
                          f"{wanted['name']} calls unseen was unseen is not known", 'current')
                return
            trained, side = meta.get('protocol'), 'train' if wanted['name'] == OOD else 'seen'
            if trained is None or not same_split(trained, wanted) or trained['role'] != side:
                raise WeightsError('the checkpoint was trained on protocol '
                                   f"{describe_identity(trained) if trained else 'none'}, the test is about "
                                   f"{describe_identity({**wanted, 'role': side})}; take another checkpoint, or give "
                                   'the test the same name and fold')

    @staticmethod
    def tested(runner: Runner) -> list[Identity]:
        """Return the protocols of the test's data and metrics; none where the runner is about to train."""
        loop = runner._test_loop
        if not isinstance(loop, BaseLoop):
            return []
        metrics = [getattr(metric, 'protocol', None) for metric in loop.evaluator.metrics]
        found = [{'name': each.split.name, 'fold': each.split.fold} for each in metrics if each is not None]
        data = loop.dataloader.dataset.metainfo.get('protocol')
        return [*found, *([data] if data else [])]
