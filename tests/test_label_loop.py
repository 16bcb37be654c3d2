"""The loop of docs/label_loop.md on ToyParts: predict, correct, convert, train, predict better."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.formats.annotation_files import AnnotationFiles
from mmpartref.apis.formats.labelled_masks import FormatOptions, LabelledMask
from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts
from mmpartref.masks.rle import decode_refs
from mmpartref.registry import MODELS

ROOT = Path(__file__).parents[1]
EXPRESSIONS = ['car body', 'bird body', 'fish body', 'boat body']


@pytest.fixture
def world(tmp_path, monkeypatch) -> Path:
    """A folder of 14 images without labels, a model that has learnt nothing, and the working directory."""
    make_toyparts(tmp_path / 'toyparts', splits={'train': 12, 'val': 2}, size=(96, 72), seed=1, workers=1)
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / 'configs/cris_tiny_toyparts.py')
    with DefaultScope.overwrite_default_scope('mmpartref'):
        model = MODELS.build(cfg.model)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'first.pth')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def correct(folder: Path, split: str) -> None:
    """Do what a person does in LabelMe: replace the predicted shapes by the true parts."""
    data = PartReferDataset(ann_file=f'toyparts/annotations/{split}/{split}.json', test_mode=True)
    writer = AnnotationFiles('labelme', folder, EXPRESSIONS, {}, FormatOptions())
    for number in range(len(data)):
        entry = data.get_data_info(number)
        masks = decode_refs(entry['refs']).astype(bool)
        wanted = [LabelledMask(ref['expressions'][0], mask, None, group)
                  for group, (ref, mask) in enumerate(zip(entry['refs'], masks, strict=True))
                  if ref['expressions'][0] in EXPRESSIONS]
        path = Path('toyparts/images', split, entry['img_path'])
        writer.add(path.name, str(path), Path(path.stem), masks.shape[1:], wanted, 0)
    writer.finish()


def mean_iou(config: Path, checkpoint: str) -> float:
    """Of the images that were labelled: few steps on few images generalise to no others."""
    inferencer = PartReferInferencer(str(config), checkpoint, 'cpu')
    data = PartReferDataset(ann_file='toyparts/annotations/train/train.json', test_mode=True)
    ious = []
    for number in range(len(data)):
        entry = data.get_data_info(number)
        wanted = [ref for ref in entry['refs'] if ref['expressions'][0] in EXPRESSIONS]
        if not wanted:
            continue
        results = inferencer(f"toyparts/images/train/{entry['img_path']}", [ref['expressions'][0] for ref in wanted])
        for result, truth in zip(results, decode_refs(wanted).astype(bool), strict=True):
            ious.append((result.mask & truth).sum() / (result.mask | truth).sum())
    return float(np.mean(ious))


@pytest.mark.e2e
def test_the_loop_improves_a_model(world, run_script):
    config = ROOT / 'configs/cris_tiny_toyparts.py'
    for split in ('train', 'val'):
        with pytest.raises(SystemExit, match='0'):
            run_script('infer', f'toyparts/images/{split}', *EXPRESSIONS, '--config', config, '--checkpoint',
                       'first.pth', '--format', 'labelme', '--instances', 'components', '--out-dir', f'labels_{split}',
                       '--no-masks', '--no-overlays')
        predicted = sorted(Path(f'labels_{split}/labelme').rglob('*.json'))
        assert len(predicted) == (12 if split == 'train' else 2)
        assert json.loads(predicted[0].read_text())['imagePath'].endswith('.JPEG')
        correct(Path(f'labels_{split}'), split)
        assert sorted(Path(f'labels_{split}/labelme').rglob('*.json')) == predicted
    # LabelMe's files and the images are below one folder.
    run_script('convert_dataset', 'labelme', '.', '--objects', 'car', 'bird', 'fish', 'boat', '--out', 'annotations')
    (written, ) = Path('annotations').glob('*.json')
    assert {each['supercategory'] for each in json.loads(written.read_text())['categories']} <= {
        'car', 'bird', 'fish', 'boat'}
    mine = world / 'mine.py'
    mine.write_text(
        f"_base_ = {str(config)!r}\ninput_size = 96\n"
        "_parts = dict(type='PartReferDataset', data_root='', data_prefix=dict(img=''))\n"
        f"_parts.update(ann_file={str(written)!r})\n"
        "train_dataloader = dict(num_workers=0, persistent_workers=False, batch_size=4, dataset=_parts)\n"
        "val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_parts)\n"
        "test_dataloader = val_dataloader\ntrain_cfg = dict(max_epochs=40, val_interval=40)\n"
        "model = dict(decode_head=dict(loss=[dict(type='TextToPixelContrastiveLoss'), dict(type='TverskyLoss')]))\n"
        "param_scheduler = [dict(type='OneCycleLR', eta_max=2e-3, total_steps=40, by_epoch=True, "
        "convert_to_iter_based=True)]\n")
    before = mean_iou(config, 'first.pth')
    run_script('train', mine, '--seed', 0, '--work-dir', 'work')
    assert mean_iou(mine, 'work/epoch_40.pth') > before + 0.1
