"""``on_bad_image``: an image that cannot be read ends the run with its name, or is skipped and counted."""
import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, pseudo_collate
from torch.utils.data import DataLoader

import mmpartref.engine.hooks.skipped_images_hook as bad_sample_hook
from mmpartref.datasets import PartReferDataset
from mmpartref.datasets.referring.missing_images import check_images_exist
from mmpartref.datasets.transforms import (
    DrawExpressions,
    Letterbox,
    LoadImage,
    LoadReferringMasks,
    PackReferringInputs,
)
from mmpartref.engine.hooks.skipped_images_hook import SkippedImagesHook
from mmpartref.engine.hooks.worker_error_hook import raise_error, return_errors
from mmpartref.engine.launch.build_runner import build_runner, load_config
from mmpartref.errors import BadImageError, MissingImageError, one_sentence_errors
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.metrics.referring_dump import ReferringDump
from mmpartref.evaluation.metrics.referring_seg_metric import ReferringSegMetric
from mmpartref.registry import MODELS


def steps() -> list:
    return [LoadImage(), DrawExpressions(seed=3), LoadReferringMasks(), Letterbox(size=64, half_pixel=True),
            PackReferringInputs()]


def break_image(root: Path, split: str, index: int) -> Path:
    """Cut a split's image off in the middle; returns its path."""
    path = sorted((root / 'images' / split).rglob('*.JPEG'))[index]
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    return path


def load(root: Path, split: str = 'train', **settings: Any) -> PartReferDataset:
    return PartReferDataset(ann_file=f'annotations/{split}/{split}.json', data_root=str(root),
                            data_prefix={'img': f'images/{split}'}, pipeline=steps(), serialize_data=False, **settings)


def index_of(dataset: PartReferDataset, path: Path) -> int:
    return next(i for i in range(len(dataset)) if dataset.get_data_info(i)['img_path'] == str(path))


def read_all(loader: DataLoader) -> None:
    """Read all batches as a run with the WorkerErrorHook does."""
    return_errors(loader)
    for batch in loader:
        raise_error(batch)


@pytest.mark.parametrize('workers', [0, 1])
def test_raise_names_file_and_record(scenes: Path, workers: int) -> None:
    path = break_image(scenes, 'train', 1)
    dataset = load(scenes)
    record = dataset.get_data_info(index_of(dataset, path))['img_id']
    with pytest.raises(SystemExit) as caught, one_sentence_errors():
        read_all(DataLoader(dataset, batch_size=2, num_workers=workers, collate_fn=pseudo_collate))
    sentence = caught.value.code
    assert sentence.startswith(f'{path} (image {record!r}) is truncated: a JPEG without its end')
    assert '\n' not in sentence


def test_a_missing_image_in_a_worker_is_one_sentence(scenes: Path) -> None:
    dataset = load(scenes)
    gone = Path(dataset.get_data_info(0)['img_path'])
    gone.unlink()
    with pytest.raises(SystemExit) as caught, one_sentence_errors():
        read_all(DataLoader(dataset, num_workers=1, collate_fn=pseudo_collate))
    assert caught.value.code.startswith(f'image {gone} (image ')
    assert '\n' not in caught.value.code


def test_other_errors_of_a_worker_keep_their_traceback(scenes: Path) -> None:
    dataset = load(scenes)
    dataset.pipeline.transforms.append(lambda results: int('x'))
    with pytest.raises(ValueError, match='Original Traceback'), one_sentence_errors():
        read_all(DataLoader(dataset, num_workers=1, collate_fn=pseudo_collate))


def test_skip_marks_the_sample_and_leaves_the_others_as_they_are(scenes: Path) -> None:
    whole = load(scenes, on_bad_image='skip')
    torch.manual_seed(0)
    before = [whole[index] for index in range(len(whole))]
    bad = index_of(whole, break_image(scenes, 'train', 2))
    after = [whole[index] for index in range(len(whole))]
    assert [('skipped' in item['data_samples']) for item in after] == [index == bad for index in range(len(whole))]
    assert 'is truncated' in after[bad]['data_samples'].skipped
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        assert one['data_samples'].expressions == other['data_samples'].expressions
        assert torch.equal(one['inputs'], other['inputs']) == (index != bad)
        assert torch.equal(one['data_samples'].gt_masks, other['data_samples'].gt_masks)


def test_skip_draws_as_many_random_numbers(scenes: Path) -> None:
    """A random transform behind LoadImage gives the images after a skipped one what it gave them before."""
    def drawn() -> list[float]:
        dataset = load(scenes, on_bad_image='skip')
        numbers: list[float] = []
        dataset.pipeline.transforms.insert(1, lambda results: numbers.append(np.random.random()) or results)  # noqa: NPY002
        np.random.seed(7)  # noqa: NPY002
        for index in range(len(dataset)):
            dataset[index]
        return numbers

    before = drawn()
    break_image(scenes, 'train', 0)
    assert drawn() == before


def test_a_skipped_image_has_no_part_in_the_loss(scenes: Path, tiny_model_cfg: dict) -> None:
    tiny_model_cfg['data_preprocessor'] = {'type': 'ReferringDataPreprocessor'}
    model = MODELS.build(tiny_model_cfg).train()
    dataset = load(scenes, on_bad_image='skip')
    bad = index_of(dataset, break_image(scenes, 'train', 0))
    good = [dataset[index] for index in range(len(dataset)) if index != bad][:2]

    def losses(items: list[dict]) -> dict[str, torch.Tensor]:
        data = model.data_preprocessor(pseudo_collate(items), True)
        return model(**data, mode='loss')

    alone, mixed = losses(good), losses([good[0], dataset[bad], good[1]])
    assert alone.keys() == mixed.keys()
    for name in alone:
        # Two forward passes, whose rounding differs on some processors; a third image changes the loss by percents.
        torch.testing.assert_close(mixed[name], alone[name], rtol=1e-4, atol=1e-6)

    nothing = losses([dataset[bad], dataset[bad]])
    model.zero_grad()
    sum(value for name, value in nothing.items() if 'loss' in name).backward()
    gradients = [each.grad for each in model.parameters() if each.requires_grad]
    assert all(each is not None and not each.any() for each in gradients)


def test_a_batch_without_readable_images_has_zero_gradients_where_its_loss_is_infinite(
        scenes: Path, tiny_model_cfg: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model_cfg['data_preprocessor'] = {'type': 'ReferringDataPreprocessor'}
    model = MODELS.build(tiny_model_cfg).train()
    dataset = load(scenes, on_bad_image='skip')
    bad = dataset[index_of(dataset, break_image(scenes, 'train', 0))]
    finite, backward_calls = model.decode_head.loss, []
    # SyncBN's backward pass waits for the other processes, so the backbone's must run.
    model.backbone.register_full_backward_hook(lambda *args: backward_calls.append(1))
    for change in (lambda value: value + torch.inf, lambda value: value * torch.inf, lambda value: value * torch.nan):
        monkeypatch.setattr(model.decode_head, 'loss', lambda *args, change=change: {
            name: change(value) for name, value in finite(*args).items()})
        losses = model(**model.data_preprocessor(pseudo_collate([bad, bad]), True), mode='loss')
        total = sum(value for name, value in losses.items() if 'loss' in name)
        assert total == 0
        model.zero_grad()
        total.backward()
        gradients = [each.grad for each in model.parameters() if each.requires_grad]
        assert all(each is not None and torch.equal(each, torch.zeros_like(each)) for each in gradients)
    assert len(backward_calls) == 3


def test_unknown_values_and_pipelines_without_load_image_are_rejected(scenes: Path) -> None:
    with pytest.raises(ValueError, match=r"on_bad_image='ignore' is unknown; choose one of \('raise', 'skip'\)"):
        load(scenes, on_bad_image='ignore')
    with pytest.raises(ValueError, match="on_bad_image='skip' is done by LoadImage"):
        PartReferDataset(ann_file='x.json', lazy_init=True, on_bad_image='skip', pipeline=[lambda results: results])


def test_load_image_raises_unless_set_to_skip(tmp_path: Path) -> None:
    results = {'img_path': str(tmp_path / 'none.jpg'), 'height': 4, 'width': 6, 'img_id': 9}
    with pytest.raises(MissingImageError, match=r'none\.jpg \(image 9\) does not exist'):
        LoadImage()(dict(results))
    skipped = LoadImage()({**results, 'on_bad_image': 'skip'})
    assert skipped['img'].shape == (4, 6, 3)
    assert 'does not exist' in skipped['skipped']


def test_missing_images_are_found_before_the_first_is_read(scenes: Path) -> None:
    (scenes / 'images/train').rename(scenes / 'images/elsewhere')
    with pytest.raises(MissingImageError, match=r'train\.json: 5 of its 5 items have no image, the first is .*image'):
        check_images_exist(load(scenes))
    (message, ) = check_images_exist(ConcatDataset([load(scenes, on_bad_image='skip'), load(scenes, 'val')]))
    assert '5 of its 5' in message
    assert check_images_exist(load(scenes, 'val')) == []


def test_images_outside_indices_may_be_missing(scenes: Path) -> None:
    first = Path(load(scenes).get_data_info(0)['img_path'])
    first.unlink()
    with pytest.raises(MissingImageError, match='1 of its 5 items has no image'):
        check_images_exist(load(scenes))
    assert check_images_exist(load(scenes, indices=[1, 2])) == []
    assert check_images_exist(load(scenes).get_subset(-3)) == []
    subset = load(scenes)
    subset.get_subset_(2)
    with pytest.raises(MissingImageError, match='1 of its 2 items'):
        check_images_exist(subset)


def test_counts_are_of_all_ranks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    hook = SkippedImagesHook()
    hook.enabled = True
    runner = SimpleNamespace(epoch=0, logger=logging.getLogger('of all ranks'))
    other = {f'{letter}.jpg': f'{letter}.jpg is cut off' for letter in 'cdefg'}
    monkeypatch.setattr(bad_sample_hook, 'all_gather_object', lambda found: [found, other])
    for path in ('a.jpg', 'c.jpg', 'a.jpg'):
        sample = SimpleNamespace(img_path=path, skipped=f'{path} is cut off')
        sample_like = type('Sample', (dict, ), {'img_path': path, 'skipped': sample.skipped})(skipped=1)
        hook.after_train_iter(runner, 0, {'data_samples': [sample_like]}, {})
    with caplog.at_level(logging.WARNING):
        hook.after_train_epoch(runner)
        hook.after_train(runner)
    epoch, whole = (record.message for record in caplog.records)
    assert epoch.startswith('epoch 1: 6 images skipped')
    assert 'a.jpg is cut off; c.jpg is cut off' in epoch
    assert epoch.endswith('; and 1 more')
    assert whole.startswith('in the whole training: 6 images')


def prediction(dataset: PartReferDataset, index: int) -> dict:
    """An item of a dataset with the outputs of a model that predicts nothing."""
    sample = dataset[index]['data_samples']
    height, width = sample.ori_shape
    sample.pred_masks = torch.zeros(len(sample.refs), height, width, dtype=torch.bool)
    sample.pred_scores = torch.zeros(len(sample.refs))
    return sample.to_dict()


def test_an_evaluation_counts_unreadable_images(scenes: Path, tmp_path: Path) -> None:
    dataset = load(scenes, 'test', on_bad_image='skip', test_mode=True)
    bad = index_of(dataset, break_image(scenes, 'test', 1))
    counts = dataset.num_expressions()
    metric, dump = ReferringSegMetric(), ReferringDump(out_file=str(tmp_path / 'dump.json'))
    samples = [prediction(dataset, index) for index in range(len(dataset))]
    for each in (metric, dump):
        each.process({}, samples)
        assert len(each.results) == len(dataset)
    figures = metric.evaluate(len(dataset))
    assert figures['refer/skipped_images'] == 1
    assert figures['refer/skipped_expressions'] == counts[bad]
    assert figures['refer/expressions'] == counts.sum() - counts[bad]
    dump.evaluate(len(dataset))
    written = read_dump(tmp_path / 'dump.json')
    assert len(written.images) == len(dataset) - 1
    assert (written.header['skipped_images'], written.header['skipped_expressions']) == (1, counts[bad])

    metric.results = []
    metric.process({}, [samples[bad]])
    with pytest.raises(ValueError, match=f'no expression was scored: {counts[bad]} of {counts[bad]} expressions'):
        metric.evaluate(1)


@pytest.mark.slow
def test_training_and_validation_go_on_and_report(scenes: Path, tiny_config: Callable[[str], Path],
                                                 tmp_path: Path) -> None:
    """With worker processes, one of which meets the broken images."""
    broken = [break_image(scenes, 'train', index) for index in (0, 3)]
    (lost, ) = [break_image(scenes, 'val', 1)]
    lost.unlink()
    options = {f'{split}_dataloader.dataset.on_bad_image': 'skip' for split in ('train', 'val')}
    cfg = load_config(tiny_config('train_cfg = dict(max_epochs=2, val_interval=2)'),
                      {**options, 'train_dataloader.num_workers': 1, 'val_dataloader.num_workers': 1},
                      data_root=str(scenes), work_dir=str(tmp_path / 'work'))
    cfg.experiment_name = 'bad_samples'
    runner = build_runner(cfg)
    runner.train()
    (log, ) = (tmp_path / 'work').glob('*/*.log')
    text = log.read_text()
    for piece in ('epoch 1: 2 images skipped', 'epoch 2: 2 images',
                  'in the whole training: 2 images', *map(str, broken), 'val.json: 1 of its 3 items has no image',
                  'expressions are not scored because their images (1) could not be read'):
        assert piece in text
    (scalars, ) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    figures = json.loads(scalars.read_text().splitlines()[-1])
    assert figures['refer/skipped_images'] == 1
    assert figures['refer/expressions'] + figures['refer/skipped_expressions'] == sum(
        runner.val_dataloader.dataset.num_expressions())


@pytest.mark.slow
def test_by_default_missing_images_stop_the_run_before_it_starts(scenes: Path, tiny_config: Callable[[str], Path],
                                                                tmp_path: Path) -> None:
    sorted((scenes / 'images/val').rglob('*.JPEG'))[0].unlink()
    cfg = load_config(tiny_config(''), data_root=str(scenes), work_dir=str(tmp_path / 'work'))
    cfg.experiment_name = 'missing'
    runner = build_runner(cfg)
    with pytest.raises(BadImageError, match=r'val\.json: 1 of its 3 items has no image'):
        runner.train()
    assert runner.iter == 0
