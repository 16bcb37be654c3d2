"""Checks of what a run needs outside its config, before anything is built or written."""
import importlib.util
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import LocalBackend, exists, get_file_backend, join_path
from mmengine.fileio.backends import prefix_to_backends
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.visualization import (
    AimVisBackend,
    ClearMLVisBackend,
    DVCLiveVisBackend,
    MLflowVisBackend,
    NeptuneVisBackend,
    TensorboardVisBackend,
    WandbVisBackend,
)

from mmpartref.engine.config.config_nodes import builds, hook_nodes, is_from, leaf_datasets, nodes, type_name
from mmpartref.engine.config.read_config import check_bases
from mmpartref.errors import ConfigError, InputError, MissingFileError, MissingPackageError
from mmpartref.evaluation.metrics.part_presence_metric import PartPresenceMetric
from mmpartref.evaluation.metrics.referring_seg_metric import ReferringSegMetric
from mmpartref.files.output_path import check_not_inputs, is_stream
from mmpartref.images.image_url import is_url
from mmpartref.images.read_image import SUFFIXES
from mmpartref.models.detectors import ReferringDetector
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.models.weights.checkpoints import read_outline
from mmpartref.registry import HOOKS, METRICS, MODELS, VISBACKENDS, argument
from mmpartref.text import one_line, shown, shown_name

# Environment variables that each launcher sets, and how to start with it.
VARIABLES = {
    'pytorch': (('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
                'tools/dist_train.sh CONFIG PROCESSES, or torchrun tools/train.py CONFIG --launcher pytorch'),
    'slurm': (('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
              'srun python tools/train.py CONFIG --launcher slurm'),
    'mpi': (('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE'),
            'mpirun python tools/train.py CONFIG --launcher mpi'),
}
# Packages of mmengine's backends, which import them when they are used first.
BACKENDS = {
    TensorboardVisBackend: 'tensorboard', WandbVisBackend: 'wandb', MLflowVisBackend: 'mlflow',
    ClearMLVisBackend: 'clearml', NeptuneVisBackend: 'neptune', DVCLiveVisBackend: 'dvclive', AimVisBackend: 'aim',
}
# Seconds to wait for the server of ``load_from``.
TIMEOUT = 15.0


def check_run(cfg: Config, splits: Iterable[str]) -> None:
    """Check launcher, packages, checkpoint and annotation files of a run.

    Args:
        cfg: the config.
        splits: the data that the run reads: ``'train'``, ``'val'``, ``'test'``.

    Raises:
        ConfigError: a key of a part of the run or a variable of the launcher is missing, a metric cannot score the
            model, or the server of ``load_from`` does not respond.
        MissingPackageError: the package of a visualisation backend is not installed.
        MissingFileError: the checkpoint or an annotation file does not exist.
        WeightsError: ``load_from`` cannot be read.
    """
    check_parts(cfg)
    check_launcher(cfg)
    check_backends(cfg)
    check_load_from(cfg)
    for split in splits:
        check_metrics(cfg, split)
        check_data(cfg, split)


def check_parts(cfg: Mapping[str, Any]) -> None:
    """Check that the keys of each part of a run, training, validation or test, are there or missing together.

    Raises:
        ConfigError: one is missing.
    """
    for names in (('train_dataloader', 'train_cfg', 'optim_wrapper'), ('val_dataloader', 'val_cfg', 'val_evaluator'),
                  ('test_dataloader', 'test_cfg', 'test_evaluator')):
        there = [name for name in names if cfg.get(name) is not None]
        if there and len(there) < len(names):
            missing = ' and '.join(name for name in names if name not in there)
            raise ConfigError(f"the config has {' and '.join(there)}, and no {missing}; set {missing}, or all three to "
                              'None')


def check_launcher(cfg: Mapping[str, Any]) -> None:
    """Check that the launcher has set its environment variables."""
    name = cfg.get('launcher') or 'none'
    variables, command = VARIABLES.get(name, ((), ''))
    missing = [variable for variable in variables if variable not in os.environ]
    if missing:
        raise ConfigError(f"--launcher {name} needs the environment variable{'s' * (len(missing) > 1)} "
                          f"{', '.join(missing)}, which the launcher sets; start with {command}")


def check_backends(cfg: Mapping[str, Any]) -> None:
    """Check that the packages of the visualisation backends are installed."""
    for node in nodes(cfg.get('visualizer') or {}):
        for kind, package in BACKENDS.items():
            if builds(VISBACKENDS, node, kind) and importlib.util.find_spec(package) is None:
                raise MissingPackageError(f'{kind.__name__} in visualizer.vis_backends needs the package {package}: '
                                          f'pip install {package}, or remove it from the config')


def check_load_from(cfg: Mapping[str, Any]) -> None:
    """Read the outline of a local ``load_from``; of one on a web server, check that it responds.

    mmengine would read it after everything has been built.
    """
    source = cfg.get('load_from')
    if not source or cfg.get('resume'):  # choose_resume_point checks one to resume from
        return
    if str(source).lower().startswith(('http://', 'https://')):
        try:
            with urllib.request.urlopen(urllib.request.Request(source, method='HEAD'), timeout=TIMEOUT):
                return
        except urllib.error.HTTPError as error:
            if error.code in (403, 405, 501):  # a server that does not answer HEAD
                return
            reason: object = f'HTTP status {error.code}'
        except (OSError, ValueError) as error:
            reason = getattr(error, 'reason', error)
        raise ConfigError(f'the checkpoint {shown_name(source)} cannot be downloaded ({reason}); download it yourself '
                          'and give its path')
    if is_url(source):
        if f'{str(source).partition(":")[0]}' in prefix_to_backends:
            try:
                found = exists(source)
            except Exception as error:  # packages of other storages raise errors of their own
                raise ConfigError(f'the checkpoint {shown_name(source)} cannot be read ({one_line(str(error), 400)}); '
                                  'give the path of a .pth file') from error
            if not found:
                raise MissingFileError(f'the checkpoint {shown_name(source)} does not exist')
        return
    if not os.path.isfile(source):
        kind = 'is a folder' if os.path.isdir(source) else 'does not exist'
        raise MissingFileError(f'the checkpoint {shown_name(source)} {kind}; give the path of a .pth file')
    read_outline(source)


def check_monitored(cfg: Config) -> None:
    """Check that the validation has the metrics that hooks compare checkpoints by, if all its metrics are known here.

    Raises:
        ConfigError: it has not; the message has names of metrics.
    """
    evaluators = cfg.get('val_evaluator') or []
    evaluators = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    known = (ReferringSegMetric, PartPresenceMetric)
    ours = [_prefix(each) for each in evaluators if any(builds(METRICS, each, kind) for kind in known)]
    if len(set(ours)) < len(ours):
        raise ConfigError(f"val_evaluator has two metrics of the prefix '{ours[0]}', which mmengine cannot tell apart; "
                          'give one another prefix')
    if not evaluators or not all(any(builds(METRICS, each, kind) for kind in known) for each in evaluators):
        return
    for hook in hook_nodes(cfg):
        for key, kind in (('save_best', CheckpointHook), ('monitor', EarlyStoppingHook)):
            names = hook.get(key) if builds(HOOKS, hook, kind) else None
            for name in [names] if isinstance(names, str) else names or []:
                if name != 'auto' and not any(_may_return(each, name) for each in evaluators):
                    raise ConfigError(f'{key}={shown(name)} of {type_name(hook)} is not a metric of the validation; '
                                      f"give one, for example '{_prefix(evaluators[0])}mIoU' or 'auto'")


def _may_return(evaluator: Mapping[str, Any], name: str) -> bool:
    prefix = _prefix(evaluator)
    if not name.startswith(prefix):
        return False
    if builds(METRICS, evaluator, PartPresenceMetric):
        return name.removeprefix(prefix) in ('mAP', 'prevalence')
    thresholds = argument(METRICS, evaluator, 'precision_thresholds')
    return ReferringSegMetric.may_return(name.removeprefix(prefix), thresholds)


def _prefix(evaluator: Mapping[str, Any]) -> str:
    kind = PartPresenceMetric if builds(METRICS, evaluator, PartPresenceMetric) else ReferringSegMetric
    return f"{evaluator.get('prefix') or kind.default_prefix}/"


def check_metrics(cfg: Mapping[str, Any], split: str) -> None:
    """Check that no metric of mmdet or mmseg, which read other predictions, scores the masks of expressions."""
    if any(builds(MODELS, cfg.get('model'), kind) for kind in (ReferringSegmentor, ReferringDetector)):
        for node in nodes(cfg.get(f'{split}_evaluator') or {}):
            if is_from('mmdet', node) or is_from('mmseg', node):
                raise ConfigError(f'{type_name(node)} in {split}_evaluator cannot score the masks of expressions, '
                                  f'which {type_name(cfg["model"])} predicts; use ReferringSegMetric')


def check_data(cfg: Mapping[str, Any], split: str) -> None:
    """Check that the annotation files and image folders of a dataloader exist, where they are on this machine."""
    for node in nodes((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}):
        root = node.get('data_root') or ''
        prefixes = node.get('data_prefix') if isinstance(node.get('data_prefix'), Mapping) else {}
        if not isinstance(node.get('ann_file'), (str, type(None))):
            raise ConfigError(f"the ann_file of {split}_dataloader is {shown(node.get('ann_file'))}; it must be the "
                              'path of a json')
        for name in (node.get('ann_file'), *(prefixes or {}).values()):
            path = join_path(root, name) if isinstance(name, str) and isinstance(root, str) and name else ''
            if path and isinstance(get_file_backend(path), LocalBackend) and not os.path.exists(path):
                raise MissingFileError(f'{shown_name(path)} of {split}_dataloader does not exist; give the dataset '
                                       f'folder with --data-root, or set {split}_dataloader.dataset.data_root; '
                                       'docs/data.md has the layout and the sources')


def config_inputs(cfg: Config) -> list[str]:
    """Return the files and image folders that a config names: its file and bases, annotations, ``load_from``."""
    found = [str(path) for path in check_bases(Path(cfg.filename))] if cfg.filename else []
    found += [cfg.load_from] if isinstance(cfg.get('load_from'), str) else []
    for split in ('train', 'val', 'test'):
        for node in leaf_datasets((cfg.get(f'{split}_dataloader') or {}).get('dataset')):
            prefixes = node.get('data_prefix') if isinstance(node.get('data_prefix'), Mapping) else {}
            names = [node.get('ann_file'), *(prefixes or {}).values()]
            paths = [join_path(node.get('data_root') or '', name) for name in names if isinstance(name, str)]
            found += [path for path in paths if path]
    return found


def check_outputs(cfg: Config, *outputs: str | None) -> None:
    """Check that files to write are not inputs of a config: see ``config_inputs``, and the images in its folders.

    Args:
        cfg: the config.
        *outputs: paths of files; None and streams are skipped.

    Raises:
        InputError: one is.
    """
    files = [output for output in outputs if output and not is_stream(output)]
    inputs = config_inputs(cfg)
    check_not_inputs(files, inputs)
    folders = {Path(each).resolve() for each in inputs if os.path.isdir(each)}
    for file in files:
        if file.lower().endswith(SUFFIXES) and os.path.exists(file) and folders & {*Path(file).resolve().parents}:
            raise InputError(f'{shown_name(file)} is in an image folder of the dataset and would be overwritten; name '
                             'another file')


def check_config_stays(cfg: Config) -> None:
    """Check that the copy of the config in the work dir does not replace the file that was given.

    A copy that a run has written there, which has neither bases nor comments, may be replaced.

    Raises:
        InputError: it does.
    """
    copy = os.path.join(cfg.work_dir, os.path.basename(cfg.filename or ''))
    if not cfg.filename or not os.path.exists(copy) or not os.path.samefile(copy, cfg.filename):
        return
    text = Path(copy).read_text(encoding='utf-8')
    if '_base_' in text or 'read_base' in text or re.search(r'^\s*#', text, flags=re.MULTILINE):
        raise InputError(f'the work dir {shown_name(cfg.work_dir)} is the folder of the config, which the copy of it '
                         'with all bases would replace; give another --work-dir')
