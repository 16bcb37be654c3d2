# CRIS as published: the choices of its code that change results (docs/fidelity.md explains each); learning rates in
# schedule_cris.py.
_base_ = ['./cris.py', './partimagenet_refer.py', './schedule_cris.py']
model = dict(text_encoder=dict(word_length=17), decode='cris')

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='DrawExpressions', seed=0),
    dict(type='LoadReferringMasks'),
    dict(type='Letterbox', size=416, half_pixel=False),
    dict(type='PackReferringInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Letterbox', size=416, half_pixel=False),
    dict(type='PackReferringInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

val_evaluator = dict(type='ReferringSegMetric', strict=True)
test_evaluator = dict(type='ReferringSegMetric', strict=True)
