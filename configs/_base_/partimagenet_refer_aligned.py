# PartImageNet with a letterbox that aligns pixel centres.
_base_ = './partimagenet_refer.py'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='DrawExpressions', seed=0),
    dict(type='LoadReferringMasks'),
    dict(type='Letterbox', size=416, half_pixel=True),
    dict(type='PackReferringInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Letterbox', size=416, half_pixel=True),
    dict(type='PackReferringInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
