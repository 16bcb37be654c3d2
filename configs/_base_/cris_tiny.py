# A small CRIS, narrower and shallower, that trains on ToyParts on two CPU cores in minutes.
model = dict(
    type='ReferringSegmentor',
    data_preprocessor=dict(type='ReferringDataPreprocessor'),
    backbone=dict(
        type='CLIPResNet', layers=(1, 1, 1, 1), width=16, embed_channels=64, num_heads=8, pretrain_grid=5),
    text_encoder=dict(type='CLIPTextEncoder', width=64, layers=2, heads=4, embed_channels=64, word_length=8),
    neck=dict(type='CRISNeck', out_channels=(32, 48, 64)),
    decode_head=dict(
        type='VisionLanguageDecodeHead',
        num_layers=2,
        num_heads=4,
        feedforward_channels=128,
        dropout=0.0,
        loss=dict(type='TextToPixelContrastiveLoss')),
    decode='aligned')
