_base_ = '../cris_r50_partimagenet.py'
model = dict(
    backbone=dict(
        _delete_=True, type='CLIPVisionTransformer', patch_size=16, pretrain_grid=14, pyramid_channels=512,
        init_cfg=dict(type='CLIPPretrained', checkpoint='ViT-B/16')),
    text_encoder=dict(embed_channels=512, init_cfg=dict(checkpoint='ViT-B/16')))
