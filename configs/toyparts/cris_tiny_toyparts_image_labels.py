# With an auxiliary loss on image-level part labels (docs/recipes.md); labels=None takes those of the training json.
_base_ = '../cris_tiny_toyparts.py'
model = dict(auxiliary_head=dict(type='MultiLabelPresenceHead', labels='partimagenet', in_evaluation=True))
train_dataloader = dict(dataset=dict(entries=dict(labels=dict())))
val_dataloader = dict(dataset=dict(entries=dict(labels=dict())))
test_dataloader = dict(dataset=dict(entries=dict(labels=dict())))
val_evaluator = [_base_.val_evaluator, dict(type='PartPresenceMetric')]
test_evaluator = [_base_.test_evaluator, dict(type='PartPresenceMetric')]
