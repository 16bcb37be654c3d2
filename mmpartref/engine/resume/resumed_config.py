"""Comparison of a run's config with that of the checkpoint that it resumes from, which mmengine stores as text."""
import ast
import logging
import os
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.logging import print_log

from mmpartref.engine.resume.resumed_checkpoint import SWITCHES
from mmpartref.errors import ConfigError
from mmpartref.models.weights.checkpoints import read_outline
from mmpartref.registry import HOOKS, resolve
from mmpartref.text import MAX_SHOWN, shown

# A longer text is not compared; Mask R-CNN's has 20,000 characters.
MAX_TEXT = 10_000_000
# Keys that do not change what a training computes: folders, weights that the checkpoint replaces, handling of errors.
IGNORED = {'init_cfg', 'data_root', 'data_prefix', 'backend_args', 'file_client_args', 'lazy_init', 'serialize_data',
           'max_refetch', 'on_bad_image', *SWITCHES}
# Parts of a config that a resumed run must share with the checkpoint's.
SAME = ('model', 'train_dataloader.dataset', 'optim_wrapper.optimizer.type', 'optim_wrapper.constructor')
# Parts whose values a resumed run takes from the checkpoint.
STORED = ('optim_wrapper.optimizer', 'optim_wrapper.paramwise_cfg', 'param_scheduler')
# Parts that may differ, with a warning.
MAY_DIFFER = ('optim_wrapper', 'train_dataloader.batch_size', 'train_dataloader.sampler',
              'train_dataloader.batch_sampler')
ABSENT = object()
NEW_RUN = ('resume with the config of that run, or start a new run from its weights with load_from instead of '
           '--resume')


def check_resumed_config(cfg: Config) -> None:
    """Compare a config with that in the checkpoint of ``load_from``, if ``cfg.resume`` is true and it is a local file.

    Raises:
        ConfigError: the model, the training data, the type of the optimizer or the averaging of weights differs.
        WeightsError: the checkpoint cannot be read.
    """
    if not cfg.get('resume') or not cfg.get('load_from') or not os.path.isfile(cfg.load_from):
        return
    checkpoint = read_outline(cfg.load_from)
    averaged, averages = 'ema_state_dict' in checkpoint, any(map(averages_weights, all_hooks(cfg)))
    if averaged != averages:
        raise ConfigError(f"cannot resume from {cfg.load_from}: it has {'' if averaged else 'no '}averaged weights, "
                          f"but the config has {'an' if averages else 'no'} EMAHook; {NEW_RUN}")
    meta = checkpoint.get('meta')
    stored = parse_config(meta.get('cfg') if isinstance(meta, dict) else None)
    own = parse_config(cfg.pretty_text)
    if stored is None or own is None:
        return
    for part in SAME:
        for path, before, now in differences(value_at(stored, part), value_at(own, part), part):
            raise ConfigError(f'cannot resume from {cfg.load_from}: {path} was {brief(before)} in its run and is '
                              f'{brief(now)} in this config; {NEW_RUN}')
    for part in (*STORED, *MAY_DIFFER):
        for path, before, now in differences(value_at(stored, part), value_at(own, part), part):
            if part in MAY_DIFFER and path.startswith(STORED):
                continue
            effect = ("this run uses the former, which is in the checkpoint's state" if part in STORED else
                      'the results will differ from those of an uninterrupted run')
            print_log(f'{cfg.load_from}: {path} was {brief(before)} in its run and is {brief(now)} in this config; '
                      f'{effect}', 'current', logging.WARNING)


def all_hooks(cfg: Config) -> list[Any]:
    """Return the configs of the hooks."""
    return [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or [])]


def averages_weights(hook: Any) -> bool:
    """Return whether a hook, or the config of one, is an ``EMAHook``."""
    try:
        kind = resolve(HOOKS, hook.get('type')) if isinstance(hook, dict) else type(hook)
    except (ImportError, RuntimeError):  # mmengine names it when it builds the hook
        return False
    return isinstance(kind, type) and issubclass(kind, EMAHook)


def parse_config(text: Any) -> dict[str, Any] | None:
    """Return the values in a config's text, which is not executed; None if it is not the text of a config.

    An expression that is not a literal or a ``dict(...)`` of literals is returned as its text.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        return None
    try:
        assignments = [each for each in ast.parse(text).body if isinstance(each, ast.Assign)]
        return {name.id: literal(each.value) for each in assignments for name in each.targets
                if isinstance(name, ast.Name)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def literal(node: ast.expr) -> Any:
    """Return the value of an expression."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        return {each.arg: literal(each.value) for each in node.keywords}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [literal(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        return {str(literal(key)) if key else '**': literal(value)
                for key, value in zip(node.keys, node.values, strict=True)}
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return ast.unparse(node)


def value_at(config: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path, ``ABSENT`` if there is none."""
    found: Any = config
    for key in path.split('.'):
        found = found.get(key, ABSENT) if isinstance(found, dict) else ABSENT
    return found


def differences(before: Any, now: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield path and values of the differences between two configs; of objects of different types, only the types.

    ``ann_file`` may be in another folder, and a type may have a scope or a module in front.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        types = list(differences(before.get('type', ABSENT), now.get('type', ABSENT), f'{path}.type'))
        if types:
            yield from types
            return
        for key in [*before, *(key for key in now if key not in before)]:
            if key not in IGNORED and key != 'type':
                yield from differences(before.get(key, ABSENT), now.get(key, ABSENT), f'{path}.{key}')
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, pair in enumerate(zip(before, now, strict=True)):
            yield from differences(*pair, f'{path}[{index}]')
    elif isinstance(before, str) and isinstance(now, str):
        separator = {'ann_file': os.sep, 'type': '.'}.get(path.rpartition('.')[2])
        if before != now and not (separator and before.rpartition(separator)[2] == now.rpartition(separator)[2]):
            yield path, before, now
    elif before != now:
        yield path, before, now


def brief(value: Any) -> str:
    """Return a value for a message."""
    return 'not set' if value is ABSENT else shown(value)[:MAX_SHOWN]
