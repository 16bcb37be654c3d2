"""CLIPResNet as the backbone of a detector of mmdet and of a segmentor of mmseg."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData

pytestmark = pytest.mark.full_mmcv

ROOT = Path(__file__).parents[3]
CLIP = dict(type='mmpartref.CLIPResNet', layers=(1, 1, 1, 1), width=4, embed_channels=32, num_heads=2, pretrain_grid=2)


def two_steps(model: torch.nn.Module, batch: dict) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    losses = []
    for _ in range(2):
        loss, _ = model.parse_losses(model(**model.data_preprocessor(batch, True), mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


def assert_trains(model: torch.nn.Module, batch: dict) -> None:
    before = model.backbone.layer1[0].conv1.weight.clone()
    losses = two_steps(model, batch)
    assert all(loss == loss and loss > 0 for loss in losses)
    assert not torch.equal(model.backbone.layer1[0].conv1.weight, before)


def test_faster_rcnn_of_mmdet() -> None:
    import mmdet.models  # noqa: F401
    from mmdet.structures import DetDataSample
    cfg = Config.fromfile(ROOT / 'configs/_base_/mask_rcnn_tiny.py').model.detector
    cfg['type'] = 'mmdet.FasterRCNN'
    cfg['backbone'] = CLIP
    cfg['neck'].update(in_channels=[32, 64, 32], num_outs=5)
    for key in ('mask_roi_extractor', 'mask_head'):
        cfg['roi_head'].pop(key)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg)
    sample = DetDataSample(metainfo={'img_shape': (64, 64), 'ori_shape': (64, 64), 'pad_shape': (64, 64),
                                     'scale_factor': (1, 1)})
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[8., 8., 40., 40.]]), labels=torch.tensor([1]))
    assert_trains(model, {'inputs': [torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8)], 'data_samples': [sample]})


def test_fcn_of_mmseg() -> None:
    import mmseg.models  # noqa: F401
    from mmseg.structures import SegDataSample
    norm = dict(type='BN')
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(dict(
            type='mmseg.EncoderDecoder', data_preprocessor=dict(type='mmseg.SegDataPreProcessor', size=(64, 64)),
            backbone=CLIP, decode_head=dict(
                type='mmseg.FCNHead', in_channels=32, channels=8, in_index=2, num_convs=1, num_classes=3, norm_cfg=norm,
                loss_decode=dict(type='mmseg.CrossEntropyLoss')),
            train_cfg=dict(), test_cfg=dict(mode='whole')))
    samples = []
    for _ in range(2):
        samples.append(SegDataSample(metainfo={'img_shape': (64, 64)}))
        samples[-1].gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 64, 64)))
    images = [torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8) for _ in range(2)]
    assert_trains(model, {'inputs': images, 'data_samples': samples})
