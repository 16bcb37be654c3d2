# The text-blind control: the same model and schedule, every expression replaced by one constant.
_base_ = '../cris_tiny_toyparts.py'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ConstantExpression', text='part'),
    dict(type='LoadReferringMasks'),
    dict(type='Letterbox', size=160, half_pixel=True),
    dict(type='PackReferringInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ConstantExpression', text='part'),
    dict(type='Letterbox', size=160, half_pixel=True),
    dict(type='PackReferringInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
