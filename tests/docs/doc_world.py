"""The folder in which a page's commands and code are run."""
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
from doc_rules import RUN_TOOLS
from doc_tools import ROOT, at, run_file
from pycocotools import mask as coco_mask

from mmpartref.datasets.partimagenet.partimagenet_names import load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import OOD_CLASSES
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.evaluation.dumps.dump import read_dump

MODELS = ('cris_tiny_toyparts', 'cris_tiny_toyparts_absent')
# Images that pages name.
IMAGES = ('image.jpg', 'dog.jpg', 'images/left/a.jpg', 'images/b.jpg', 'docs/images/example_image.jpg')
# Dumps that pages name without making them, or by a command that is only checked. 'part_of.json' and 'part.json' are of
# other templates.
DUMPS = ('cris.json', 'cris_0.json', 'cris_1.json', 'cris_2.json', 'detector.json', 'detector_0.json',
         'detector_1.json', 'det.json', 'det_oracle.json', 'blind.json', 'clip.json', 'mean.json',
         'whole.json', 'ceiling.json', 'val.json', 'test.json', 'report.json')
OTHER_TEMPLATES = {'part_of.json': '{part} of {super_category}', 'part.json': '{part}'}
DATASETS = ('data/toyparts', 'data/flat', 'data/mine', 'data/PartImageNet', 'data/PartImageNet_OOD')
SPLITS = {'train': 8, 'val': 4, 'test': 4}


def add_data(folder: Path) -> None:
    """Draw ToyParts once, and copy it to the paths of the pages' datasets."""
    drawn = folder / DATASETS[0]
    make_toyparts(drawn, splits=SPLITS, size=(96, 72), seed=1)
    for split in SPLITS:
        # The layout of a custom dataset.
        shutil.copy(drawn / f'annotations/{split}/{split}.json', drawn / f'annotations/{split}.json')
    for name in DATASETS[1:]:
        shutil.copytree(drawn, folder / name)
    disguise_as_ood(folder / DATASETS[-1])
    # As tools/convert_dataset.py would have written it.
    (folder / 'data/paco').mkdir()
    for split in SPLITS:
        shutil.copy(drawn / f'annotations/{split}/{split}.json', folder / f'data/paco/paco_lvis_v1_{split}.json')


def disguise_as_ood(root: Path) -> None:
    """Add images without parts until each split has as many classes as that of the OOD split, all different."""
    classes = iter(load_synsets())
    for split, number in OOD_CLASSES.items():
        path = root / f'annotations/{split}/{split}.json'
        document = json.loads(path.read_text())
        images = document['images']
        for count in range(number):
            if count == len(images):
                images.append({**images[0], 'id': 10**6 + count})
            images[count]['file_name'] = f'{next(classes)}_{count}.JPEG'
        path.write_text(json.dumps(document))


def write_dump(folder: Path, model: str, kind: str) -> None:
    """Write a model's dump of the test split, or of three images of val ('val')."""
    config, checkpoint = str(next((folder / 'configs').rglob(f'{model}.py'))), f'work_dirs/{model}/epoch_7.pth'
    options = list(RUN_TOOLS['test'])
    if kind == 'val':
        options += ['val_dataloader.dataset.indices=3', '--split', 'val']
    run_file(ROOT / 'tools/test.py', [config, checkpoint, '--dump', f'dumps/{kind}.json', '--candidates', *options])


def reword(dump: Path, template: str, out: Path) -> None:
    """Write a dump whose expressions are of another template."""
    read = read_dump(dump)
    for image in read.images:
        image.expressions[:] = [
            replace(each, expression=template.format(part=each.part, super_category=each.super_category))
            for each in image.expressions]
    read.write(out)


def write_masks(dump: Path) -> None:
    """Write a dump's masks as a folder of PNG masks and as COCO results."""
    results = []
    for image in read_dump(dump).images:
        for each in image.expressions:
            path = Path('masks', Path(image.img_path).stem, f"{each.expression.replace(' ', '_')}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(coco_mask.decode(each.pred) * np.uint8(255)).save(path)
            results.append({'image_id': image.img_id, 'category_id': int(each.ref_id.split(':')[1]),
                            'segmentation': each.pred, 'score': 0.75})
    Path('instances.json').write_text(json.dumps(results), encoding='utf-8')


def make_world(folder: Path) -> Path:
    """Fill a folder with configs, tools, datasets, images, and two small models after a few steps, with their dumps."""
    for name in ('configs', 'tools'):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('Makefile', 'setup.cfg', 'pyproject.toml'):
        shutil.copy(ROOT / name, folder / name)
    add_data(folder)
    drawn = sorted((folder / 'data/toyparts/images/test').iterdir())
    for number, name in enumerate(IMAGES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn[number % len(drawn)], folder / name)
    (folder / 'expressions.txt').write_text('car tire\nbird wing\n', encoding='utf-8')
    with at(folder):
        for model in MODELS:
            config = str(next(Path('configs').rglob(f'{model}.py')))
            run_file(ROOT / 'tools/train.py', [config, '--seed', '0', *RUN_TOOLS['train']])
            work_dir = Path('work_dirs') / model
            (work_dir / 'epoch_1.pth').rename(work_dir / 'epoch_7.pth')
            next(work_dir.glob('best_*.pth')).unlink()
        for model, kind in zip((MODELS[0], MODELS[0], MODELS[1]), ('test', 'val', 'absent'), strict=True):
            write_dump(folder, model, kind)
        for name, template in OTHER_TEMPLATES.items():
            reword(Path('dumps/test.json'), template, Path('dumps') / name)
        write_masks(Path('dumps/test.json'))
    return folder


def copy_world(world: Path, folder: Path, dumps: str) -> Path:
    """Copy the folder for one page, with dumps of a kind; weights, which nothing writes to, are hard links."""
    def copy(source: str, target: str) -> None:
        (os.link if source.endswith('.pth') else shutil.copy)(source, target)

    shutil.copytree(world, folder, copy_function=copy)
    for name in (*DUMPS, *OTHER_TEMPLATES):
        shutil.copy(dump_for(folder, name, dumps), folder / name)
    return folder


def dump_for(world: Path, name: str, kind: str) -> Path:
    """Return the dump to use for one of this name."""
    return world / 'dumps' / (name if name in OTHER_TEMPLATES else f'{kind}.json')
