_base_ = '../cris_r50_partimagenet.py'
model = dict(
    backbone=dict(
        _delete_=True, type='CLIPVisionTransformer', patch_size=16, pretrain_grid=14, pyramid_channels=512,
        init_cfg=dict(type='CLIPPretrained', checkpoint='ViT-B/16')),
    text_encoder=dict(embed_channels=512, init_cfg=dict(checkpoint='ViT-B/16')),
    neck=dict(in_channels=(512, 512, 512), sentence_channels=512),
    decode_head=dict(sentence_channels=512))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(
    _delete_=True, backbone=dict(lr_mult=0.1), text_encoder=dict(lr_mult=0.1), positional_embedding=dict(lr_mult=1.0))))
