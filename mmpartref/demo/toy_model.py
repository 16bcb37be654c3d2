"""The default model of the demo: a small CRIS, trained on ToyParts at the first start."""
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmengine.runner import find_latest_checkpoint

from mmpartref.apis.model_building import spoken_part
from mmpartref.datasets.coco.records import Category, split_category
from mmpartref.datasets.toyparts.make_toyparts import VERSION, make_toyparts
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.errors import MissingFileError
from mmpartref.files.output_path import write_errors

PACKAGE = Path(__file__).parents[1]
NAME = 'cris_tiny_toyparts'
SPLITS = {'train': 700, 'val': 100, 'test': 100}
WEIGHTS = 'weights.pth'
EXAMPLES, EXAMPLE_PARTS = 6, 3


@dataclass(frozen=True)
class ToyModel:
    """Config and checkpoint of the toy model, and examples (image file, expressions) of its test split."""
    config: Path
    checkpoint: Path
    examples: list[tuple[str, list[str]]]


def toy_config() -> Path:
    """Return the path of the config: next to the package in a checkout, inside it if it is installed.

    Raises:
        MissingFileError: it is in neither place.
    """
    places = [folder / 'configs' / f'{NAME}.py' for folder in (PACKAGE / '.mim', PACKAGE.parent)]
    for place in places:
        if place.is_file():
            return place
    raise MissingFileError(f'the config of the toy model, {places[1]}, does not exist; give --config and --checkpoint')


def cache_folder() -> Path:
    """Return the cache folder, ``$XDG_CACHE_HOME/mmpartref/demo``, by default in ~/.cache."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'mmpartref' / 'demo'


def toy_model(cache: Path, *, splits: Mapping[str, int] = SPLITS,
              options: Mapping[str, object] | None = None) -> ToyModel:
    """Return the toy model; train it if it is not in the cache.

    Drawings and weights are written to a temporary folder, which is moved when complete.

    Args:
        cache: cache folder.
        splits: scenes by split.
        options: overrides of the config, as in ``--cfg-options``.
    """
    config, folder = toy_config(), cache / f'{NAME}_v{VERSION}'
    if not (folder / WEIGHTS).is_file():
        with write_errors(cache):
            cache.mkdir(parents=True, exist_ok=True)
        print(f'training a toy model on drawings, once, into {folder}; takes minutes on a CPU', flush=True)
        with tempfile.TemporaryDirectory(prefix='unfinished_', dir=cache) as unfinished:
            made = Path(unfinished) / 'made'
            make_toyparts(made / 'toyparts', splits=splits)
            train(config, made, Path(unfinished) / 'run', options)
            if not (folder / WEIGHTS).is_file():  # another process may have been first
                shutil.rmtree(folder, ignore_errors=True)
                made.replace(folder)
    return ToyModel(config, folder / WEIGHTS, examples_of(folder / 'toyparts'))


def train(config: Path, made: Path, run: Path, options: Mapping[str, object] | None) -> None:
    """Train on ``made/toyparts`` and copy the checkpoint of the last epoch to ``made``."""
    cfg = load_config(config, options, data_root=str(made / 'toyparts'), work_dir=str(run))
    cfg.randomness = {'seed': 0}
    cfg.default_hooks.pop('preemption')  # an unfinished run is deleted
    runner = build_runner(cfg)
    try:
        runner.train()
    finally:
        # mmengine's current logger stays the runner's and would open its file again in the deleted folder.
        for handler in [each for each in runner.logger.handlers if isinstance(each, logging.FileHandler)]:
            runner.logger.removeHandler(handler)
            handler.close()
    shutil.copy(find_latest_checkpoint(str(run)), made / WEIGHTS)


def examples_of(toyparts: Path) -> list[tuple[str, list[str]]]:
    """Return the first images of the test split, each with expressions of parts in it."""
    coco = json.loads((toyparts / 'annotations' / 'test' / 'test.json').read_text(encoding='utf-8'))
    spoken = {}
    for category in coco['categories']:
        name = split_category(Category(category['id'], category['name'], category['supercategory']))
        spoken[category['id']] = f'{name.super_category} {spoken_part(name.part)}'
    examples = []
    for image in coco['images'][:EXAMPLES]:
        shown = dict.fromkeys(spoken[each['category_id']] for each in coco['annotations']
                              if each['image_id'] == image['id'])
        examples.append((str(toyparts / 'images' / 'test' / image['file_name']), list(shown)[:EXAMPLE_PARTS]))
    return examples
