# PartImageNet for a detector: mmdet's CocoDataset for training, the referring dataset for validation and test.
_base_ = './partimagenet_refer.py'
data_root = 'data/PartImageNet/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='mmdet.Resize', scale=(1333, 800), keep_ratio=True),
    # Exchanges left and right in the categories, where they have such words.
    dict(type='RandomDetectorFlip', prob=0.5),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmdet.Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='PackReferringInputs'),
]

train_dataloader = dict(
    _delete_=True,
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='mmdet.AspectRatioBatchSampler'),
    dataset=dict(
        type='mmdet.CocoDataset',
        data_root=data_root,
        ann_file='annotations/train/train.json',
        data_prefix=dict(img='images/train'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))
