# CRIS with CLIP RN50 at 416 x 416; the sizes are those of the published configuration.
model = dict(
    type='ReferringSegmentor',
    data_preprocessor=dict(type='ReferringDataPreprocessor'),
    backbone=dict(
        type='CLIPResNet',
        layers=(3, 4, 6, 3),
        width=64,
        embed_channels=1024,
        num_heads=32,
        init_cfg=dict(type='CLIPPretrained', checkpoint='RN50')),
    text_encoder=dict(
        type='CLIPTextEncoder',
        width=512,
        layers=12,
        heads=8,
        embed_channels=1024,
        word_length=17,
        init_cfg=dict(type='CLIPPretrained', checkpoint='RN50')),
    neck=dict(
        type='CRISNeck', out_channels=(256, 512, 1024)),
    decode_head=dict(
        type='VisionLanguageDecodeHead',
        num_layers=3,
        num_heads=8,
        feedforward_channels=2048,
        dropout=0.1,
        loss=dict(type='TextToPixelContrastiveLoss')),
    decode='cris')
