_base_ = './cris_r50_aligned_partimagenet.py'
model = dict(
    backbone=dict(layers=(3, 4, 23, 3), embed_channels=512, init_cfg=dict(checkpoint='RN101')),
    text_encoder=dict(embed_channels=512, init_cfg=dict(checkpoint='RN101')))
