# The image encoder also learns which of the 40 parts a photo shows (docs/recipes.md).
_base_ = './cris_r50_aligned_partimagenet.py'
model = dict(auxiliary_head=dict(type='MultiLabelPresenceHead', labels='partimagenet', in_evaluation=True))
train_dataloader = dict(dataset=dict(photo_labels=True))
val_dataloader = dict(dataset=dict(photo_labels=True))
test_dataloader = dict(dataset=dict(photo_labels=True))
val_evaluator = [_base_.val_evaluator, dict(type='PartPresenceMetric')]
test_evaluator = [_base_.test_evaluator, dict(type='PartPresenceMetric')]
