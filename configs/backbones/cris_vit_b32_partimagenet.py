_base_ = './cris_vit_b16_partimagenet.py'
model = dict(
    backbone=dict(patch_size=32, pretrain_grid=7, init_cfg=dict(checkpoint='ViT-B/32')),
    text_encoder=dict(init_cfg=dict(checkpoint='ViT-B/32')))
