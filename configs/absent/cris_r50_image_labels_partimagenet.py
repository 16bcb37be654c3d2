# With an auxiliary loss of the image encoder on image-level labels of the 40 parts (docs/recipes.md).
_base_ = '../cris/cris_r50_aligned_partimagenet.py'
model = dict(auxiliary_head=dict(type='MultiLabelPresenceHead', labels='partimagenet', in_evaluation=True))
train_dataloader = dict(dataset=dict(entries=dict(labels=dict())))
val_dataloader = dict(dataset=dict(entries=dict(labels=dict())))
test_dataloader = dict(dataset=dict(entries=dict(labels=dict())))
val_evaluator = [_base_.val_evaluator, dict(type='PartPresenceMetric')]
test_evaluator = [_base_.test_evaluator, dict(type='PartPresenceMetric')]
