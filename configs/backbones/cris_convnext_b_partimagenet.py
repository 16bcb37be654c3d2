_base_ = '../cris_r50_partimagenet.py'
model = dict(
    data_preprocessor=dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    backbone=dict(
        _delete_=True, type='TimmBackbone', model_name='convnext_base.fb_in22k',
        init_cfg=dict(type='PackagePretrained', checkpoint='timm')))
