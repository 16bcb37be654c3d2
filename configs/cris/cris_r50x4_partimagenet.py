_base_ = '../cris_r50_partimagenet.py'
model = dict(
    backbone=dict(
        layers=(4, 6, 10, 6), width=80, embed_channels=640, num_heads=40, pretrain_grid=9,
        init_cfg=dict(checkpoint='RN50x4')),
    text_encoder=dict(width=640, heads=10, embed_channels=640, init_cfg=dict(checkpoint='RN50x4')))
