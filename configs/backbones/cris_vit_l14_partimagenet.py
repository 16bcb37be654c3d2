_base_ = './cris_vit_b16_partimagenet.py'
model = dict(
    backbone=dict(
        patch_size=14, width=1024, layers=24, num_heads=16, embed_channels=768, pretrain_grid=16,
        init_cfg=dict(checkpoint='ViT-L/14')),
    text_encoder=dict(width=768, heads=12, embed_channels=768, init_cfg=dict(checkpoint='ViT-L/14')))
