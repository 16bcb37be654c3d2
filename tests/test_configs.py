"""Every config builds, has no key that nothing reads, and is a short leaf."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpartref.engine.config.config_keys import check_custom_keys, check_top_level
from mmpartref.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS

CONFIGS = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
CRIS = [path for path in LEAVES if path.name.startswith('cris')]
DATASET_BASES = sorted((CONFIGS / '_base_/datasets').glob('*.py'))
# Built by models/torchvision_cases.py.
NEED_TORCHVISION = [path for path in CRIS if Config.fromfile(path).model.backbone.type == 'TimmBackbone']


def sets_of(loader):
    """A loader's dataset, or those that it mixes."""
    return loader.dataset.get('datasets') or [loader.dataset]


def cases(paths):
    """Parameters of a test; configs that name parts of mmdet need full mmcv."""
    return [pytest.param(path, id=path.stem, marks=[pytest.mark.full_mmcv] * path.name.startswith(
        ('mask_rcnn', 'cris_mmdet'))) for path in paths]


@pytest.mark.parametrize('path', cases(LEAVES))
def test_top_level_keys_and_parts_are_known(path):
    check_config(Config.fromfile(path))


def check_config(cfg):
    check_top_level(cfg, cfg.text)
    with DefaultScope.overwrite_default_scope('mmpartref'):
        loaders = [cfg[name] for name in ('train_dataloader', 'val_dataloader', 'test_dataloader') if cfg.get(name)]
        for loader in loaders:
            for dataset in sets_of(loader):
                assert DATASETS.get(dataset.type)
                for step in dataset.pipeline:
                    TRANSFORMS.build(step)
            assert DATA_SAMPLERS.get(loader.sampler.type)
            assert not loader.get('batch_sampler') or DATA_SAMPLERS.get(loader.batch_sampler.type)
        for hook in [*cfg.get('custom_hooks', []), *cfg.default_hooks.values()]:
            assert HOOKS.get(hook['type']), hook
        for evaluator in cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]:
            METRICS.build(evaluator)


@pytest.mark.parametrize('path', DATASET_BASES, ids=lambda path: path.stem)
def test_a_config_on_a_converted_dataset_is_a_list_of_bases(path, tmp_path):
    bases = [CONFIGS / '_base_/cris_aligned.py', path, *(CONFIGS / f'_base_/{name}.py'
                                                         for name in ('schedule_aligned', 'default_runtime'))]
    (tmp_path / 'mine.py').write_text(f'_base_ = {[str(each) for each in bases]}')
    cfg = Config.fromfile(tmp_path / 'mine.py')
    check_config(cfg)
    check_letterbox(cfg)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = cfg[name].dataset
        assert (dataset.type, dataset.data_root, dataset.get('test_mode', False)) == (
            'PartReferDataset', 'data/', name != 'train_dataloader')


@pytest.mark.parametrize('path', cases(path for path in CRIS if path not in NEED_TORCHVISION))
def test_models_build_and_their_custom_keys_match(path):
    """Without memory: the meta device gives shapes only."""
    cfg = Config.fromfile(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    check_custom_keys(model, cfg.optim_wrapper)


@pytest.mark.parametrize('path', CRIS, ids=lambda path: path.stem)
def test_decode_and_letterbox_belong_together(path):
    check_letterbox(Config.fromfile(path))


def check_letterbox(cfg):
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for dataset in sets_of(cfg[name]):
            letterbox = next(step for step in dataset.pipeline if step['type'] == 'Letterbox')
            assert letterbox.get('half_pixel', False) == (cfg.model.decode == 'aligned'), name


@pytest.mark.parametrize('name', ['RN50x4', 'ViT-B/32', 'ViT-B/16', 'ViT-L/14'])
def test_a_clip_backbones_config_has_the_sizes_of_its_weights(name):
    """OpenAI's: side of the positions' grid, channels of the tower and of the words, the embedding, parameters."""
    grid, width, words, embedding, parameters = {
        'RN50x4': (9, 2560, 640, 640, 178_300_601),
        'ViT-B/32': (7, 768, 512, 512, 151_277_313),
        'ViT-B/16': (14, 768, 512, 512, 149_620_737),
        'ViT-L/14': (16, 1024, 768, 768, 427_616_513),
    }[name]
    path = next(path for path in CRIS if f"checkpoint='{name}'" in path.read_text())
    cfg = Config.fromfile(path)
    with torch.device('meta'):
        backbone, text = (MODELS.build({**cfg.model[part], 'init_cfg': None}) for part in ('backbone', 'text_encoder'))
    assert cfg.model.backbone.init_cfg.checkpoint == cfg.model.text_encoder.init_cfg.checkpoint == name
    table = next(value for key, value in backbone.named_parameters() if key.endswith('positional_embedding'))
    assert table.shape == (grid**2 + 1, width)
    assert (text.word_channels, text.sentence_channels, backbone.embed_channels) == (words, embedding, embedding)
    # CLIP has a temperature besides; the convolution after the pool and the pyramid are not of CLIP.
    counted = sum(value.numel() for part in (backbone, text) for key, value in part.named_parameters()
              if 'connect' not in key and not key.startswith('pyramid.'))
    assert counted + 1 == parameters


def test_base_names_are_unique_so_that_mim_finds_a_config_by_its_name():
    names = [path.name for path in CONFIGS.rglob('*.py')]
    assert len(names) == len(set(names))
