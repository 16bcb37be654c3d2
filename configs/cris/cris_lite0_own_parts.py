# A small CRIS on an encoder that was trained on ImageNet, for your own parts on a CPU: pip install 'mmpartref[lite]'.
_base_ = '../cris_tiny_toyparts.py'
data_root = 'data/my_parts/'
model = dict(
    data_preprocessor=dict(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
    backbone=dict(
        _delete_=True, type='EfficientNetLite', init_cfg=dict(type='PackagePretrained', checkpoint='package')),
    neck=dict(out_channels=(64, 96, 128)),
    # The Dice loss weighs a small part like a large one: docs/benchmarks.md has what it is worth.
    decode_head=dict(loss=[dict(type='TextToPixelContrastiveLoss'), dict(type='TverskyLoss')]))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
train_cfg = dict(max_epochs=12, val_interval=4)
# Trained with zoomed crops, the model finds more small parts in larger images than those of the training.
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomPartFlip'),
    dict(type='RandomPartZoom', scale=(0.5, 3.0)),
    dict(type='RandomColour'),
    dict(type='Letterbox', size=256, half_pixel=True),
    dict(type='PackReferringInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Letterbox', size=384, half_pixel=True),
    dict(type='PackReferringInputs'),
]
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/train.json', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/val.json', pipeline=test_pipeline))
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='images/val'),
        pipeline=test_pipeline))
