_base_ = './cris_dinov2_b14_partimagenet.py'
model = dict(
    data_preprocessor=dict(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
    backbone=dict(model_name='vit_base_patch16_siglip_224.v2_webli'),
    text_encoder=dict(
        _delete_=True, type='SiglipTextEncoder', tokenizer=dict(file='data/siglip2/tokenizer.json'),
        init_cfg=dict(type='PackagePretrained', checkpoint='google/siglip2-base-patch16-224')))
