_base_ = '../cris_r50_partimagenet.py'
model = dict(
    data_preprocessor=dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    backbone=dict(
        _delete_=True, type='TimmBackbone', model_name='vit_base_patch14_dinov2.lvd142m', pyramid_channels=512,
        init_cfg=dict(type='PackagePretrained', checkpoint='timm')))
