"""Pretrained weights that a config names with ``init_cfg``."""
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmpartref.engine.config.config_nodes import hook_nodes, nodes
from mmpartref.engine.distributed import unwrapped
from mmpartref.errors import ConfigError


def pretrained_nodes(cfg: Config) -> Iterator[Any]:
    """Yield the parts of the model whose ``init_cfg`` names a checkpoint."""
    for node in nodes(cfg.model):
        if isinstance(node.get('init_cfg'), Mapping) and 'checkpoint' in node['init_cfg']:
            yield node


def skip_initial_weights(cfg: Config) -> None:
    """Drop pretrained weights where ``load_from`` replaces all of them, so that their files need not exist."""
    partial = any(isinstance(hook, Mapping) and hook.get('allow_missing') for hook in hook_nodes(cfg))
    if not cfg.get('load_from') or partial:
        return
    for node in pretrained_nodes(cfg):
        print_log(f"{node.get('type')}: weights from {cfg.load_from}, not from {node['init_cfg']['checkpoint']}",
                  'current')
        node.init_cfg = None


def check_has_weights(cfg: Config) -> None:
    """Check, for a test without a checkpoint, that the config names pretrained weights.

    Raises:
        ConfigError: it names none.
    """
    if not any(pretrained_nodes(cfg)):
        raise ConfigError('a test needs weights, and this config has none in init_cfg; give a checkpoint')


def start_from_init_cfg(runner: Runner) -> None:
    """Load the pretrained weights of the config, for a test without a checkpoint."""
    unwrapped(runner.model).init_weights()
