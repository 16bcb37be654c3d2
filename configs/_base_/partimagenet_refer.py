# PartImageNet (Seg split) as a referring dataset, with CRIS's letterbox. batch_size counts expressions.
dataset_type = 'PartImageNetReferringDataset'
data_root = 'data/PartImageNet/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='DrawExpressions', seed=0),
    dict(type='LoadReferringMasks'),
    dict(type='Letterbox', size=416),
    dict(type='PackReferringInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Letterbox', size=416),
    dict(type='PackReferringInputs'),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='ExpressionBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/train/train.json',
        data_prefix=dict(img='images/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/val/val.json',
        data_prefix=dict(img='images/val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=8,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/test/test.json',
        data_prefix=dict(img='images/test'),
        test_mode=True,
        pipeline=test_pipeline))

val_evaluator = dict(type='ReferringSegMetric')
test_evaluator = dict(type='ReferringSegMetric')
