# CRIS as published, every choice of its code that moves results in one place; docs/fidelity.md says what each does.
_base_ = ['./cris.py', './partimagenet_refer.py', './schedule.py']
model = dict(text_encoder=dict(word_length=17), decode='cris', threshold=0.35)

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

param_scheduler = [
    dict(type='UniformFirstEpochLR'),
    dict(type='MultiStepLR', milestones=[7], gamma=0.1, by_epoch=True),
]
