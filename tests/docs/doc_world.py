"""The folder that a page's commands and code find themselves in."""
import os
import shutil
from pathlib import Path

from doc_rules import RUN_TOOLS
from doc_tools import ROOT, at, run_file

from mmpartref.datasets.toyparts import make_toyparts

MODELS = ('cris_tiny_toyparts', 'cris_tiny_toyparts_absent')
# Photos, weights and dumps that pages name without making them.
PHOTOS = ('photo.jpg', 'dog.jpg', 'photos/left/a.jpg', 'photos/b.jpg')
DUMPS = ('cris.json', 'detector.json', 'det.json', 'det_oracle.json', 'blind.json', 'clip.json', 'mean.json',
         'whole.json', 'ceiling.json', 'part.json', 'part_of.json', 'val.json', 'test.json', 'report.json')
DATA_SETS = ('data/toyparts', 'data/flat', 'data/mine', 'data/PartImageNet', 'data/PartImageNet_OOD')


def add_data(folder: Path) -> None:
    """Draw ToyParts once, and put it wherever a page has a data set."""
    drawn = folder / DATA_SETS[0]
    make_toyparts(drawn, splits={'train': 8, 'val': 4, 'test': 4}, size=(96, 72), seed=1)
    for split in ('train', 'val', 'test'):
        # As a data set of one's own has them.
        shutil.copy(drawn / f'annotations/{split}/{split}.json', drawn / f'annotations/{split}.json')
    for name in DATA_SETS[1:]:
        shutil.copytree(drawn, folder / name)


def make_world(folder: Path) -> Path:
    """Fill a folder: configs, tools, data sets, photos, and two small models after a few steps, with their dumps."""
    for name in ('configs', 'tools'):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('Makefile', 'setup.cfg', 'pyproject.toml'):
        shutil.copy(ROOT / name, folder / name)
    add_data(folder)
    drawn = sorted((folder / 'data/toyparts/images/test').iterdir())
    for number, name in enumerate(PHOTOS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn[number], folder / name)
    (folder / 'asked.txt').write_text('car tire\nbird wing\n', encoding='utf-8')
    with at(folder):
        for model in MODELS:
            config, work_dir = f'configs/{model}.py', Path('work_dirs') / model
            run_file(ROOT / 'tools/train.py', [config, '--seed', '0', *RUN_TOOLS['train']])
            (work_dir / 'epoch_1.pth').rename(work_dir / 'epoch_7.pth')
            next(work_dir.glob('best_*.pth')).unlink()
            run_file(ROOT / 'tools/test.py', [config, str(work_dir / 'epoch_7.pth'), '--dump', f'{work_dir}/dump.json',
                                              '--candidates', *RUN_TOOLS['test']])
    for name in DUMPS:
        shutil.copy(folder / 'work_dirs' / MODELS[0] / 'dump.json', folder / name)
    return folder


def copy_world(world: Path, folder: Path) -> Path:
    """Copy the folder for a page of its own; weights, which nothing writes into, are shared."""
    def copy(source: str, target: str) -> None:
        (os.link if source.endswith('.pth') else shutil.copy)(source, target)

    shutil.copytree(world, folder, copy_function=copy)
    return folder
