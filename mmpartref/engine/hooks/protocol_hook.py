"""Check that zero-shot results use one protocol for training and test."""
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner

from mmpartref.datasets.protocols import OOD
from mmpartref.datasets.protocols.protocol_step import describe_identity
from mmpartref.errors import ConfigError, WeightsError
from mmpartref.registry import HOOKS

Identity = Mapping[str, Any]


def same_split(one: Identity, two: Identity) -> bool:
    """Return whether two protocols have the same split into seen and unseen, whichever role they have."""
    return (one['name'], one['fold']) == (two['name'], two['fold'])


@HOOKS.register_module()
class ProtocolHook(Hook):
    """Compare the protocols of training data, validation data, test and checkpoint.

    The protocol of a dataset is in its ``metainfo`` and therefore in a checkpoint's ``meta['dataset_meta']``.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare training and validation data.

        Raises:
            ConfigError: their protocols, or their roles in it, differ.
        """
        train = runner.train_dataloader.dataset.metainfo.get('protocol')
        if train is None or runner.val_loop is None:
            return
        val = runner.val_loop.dataloader.dataset.metainfo.get('protocol')
        if val is None or not same_split(train, val) or (train['name'] != OOD and train['role'] != val['role']):
            raise ConfigError(f'the training data has protocol {describe_identity(train)}, the validation data '
                              f"{describe_identity(val) if val else 'none'}, so that the best checkpoint would be "
                              'chosen by unseen parts; set the same protocol for both datasets')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the protocols of a test with that of the checkpoint, where it has one.

        Raises:
            WeightsError: they differ.
        """
        for wanted in self.tested(runner):
            meta = checkpoint.get('meta', {}).get('dataset_meta')
            if meta is None:
                print_log('the checkpoint has no dataset_meta; whether its training saw the unseen parts of protocol '
                          f"{wanted['name']} is unknown", 'current')
                return
            trained, side = meta.get('protocol'), 'train' if wanted['name'] == OOD else 'seen'
            if trained is None or not same_split(trained, wanted) or trained['role'] != side:
                raise WeightsError('the checkpoint was trained on protocol '
                                   f"{describe_identity(trained) if trained else 'none'}, the test needs "
                                   f"{describe_identity({**wanted, 'role': side})}; use another checkpoint, or set the "
                                   'same name and fold for the test')

    @staticmethod
    def tested(runner: Runner) -> list[Identity]:
        """Return the protocols of the test's data and metrics; an empty list where the runner trains."""
        loop = runner._test_loop
        if not isinstance(loop, BaseLoop):
            return []
        metrics = [getattr(metric, 'protocol', None) for metric in loop.evaluator.metrics]
        found = [{'name': each.name, 'fold': each.fold} for each in metrics if each is not None]
        data = loop.dataloader.dataset.metainfo.get('protocol')
        return [*found, *([data] if data else [])]
