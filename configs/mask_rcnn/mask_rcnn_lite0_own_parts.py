# A small Mask R-CNN on the encoder of cris_lite0_own_parts.py, to compare with it on your own parts.
_base_ = '../toyparts/mask_rcnn_tiny_toyparts.py'
data_root = 'data/my_parts/'
model = dict(
    detector=dict(
        data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
        backbone=dict(
            _delete_=True,
            type='mmpartref.EfficientNetLite',
            out_indices=(0, 1, 2, 3),
            init_cfg=dict(type='mmpartref.PackagePretrained', checkpoint='package')),
        neck=dict(in_channels=[24, 40, 112, 320])))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
train_cfg = dict(max_epochs=12, val_interval=4)
# The augmentation and the sizes of cris_lite0_own_parts.py.
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RandomDetectorFlip'),
    dict(type='RandomDetectorZoom', scale=(0.5, 3.0)),
    dict(type='RandomColour'),
    dict(type='mmdet.Resize', scale=(256, 256), keep_ratio=True),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmdet.Resize', scale=(384, 384), keep_ratio=True),
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
