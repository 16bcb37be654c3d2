# ToyParts: drawn scenes in PartImageNet's layout (tools/make_toyparts.py).
_base_ = './partimagenet_refer.py'
data_root = 'data/toyparts/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='DrawExpressions', seed=0),
    dict(type='LoadReferringMasks'),
    dict(type='Letterbox', size=160, half_pixel=True),
    dict(type='PackReferringInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Letterbox', size=160, half_pixel=True),
    dict(type='PackReferringInputs'),
]

train_dataloader = dict(num_workers=1, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
