_base_ = './cris_vit_b16_partimagenet.py'
model = dict(
    backbone=dict(
        _delete_=True, type='TimmBackbone', model_name='eva02_base_patch16_clip_224.merged2b', pyramid_channels=512,
        init_cfg=dict(type='PackagePretrained', checkpoint='timm')),
    text_encoder=dict(
        _delete_=True, type='OpenCLIPTextEncoder', model_name='EVA02-B-16', word_length=17,
        init_cfg=dict(type='PackagePretrained', checkpoint='merged2b_s8b_b131k')))
