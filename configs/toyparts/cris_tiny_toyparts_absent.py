# With absent parts in training and evaluation, and a presence head (docs/absent_parts.md).
_base_ = '../cris_tiny_toyparts.py'
model = dict(decode_head=dict(presence_head=dict(type='PresenceHead')))
train_dataloader = dict(dataset=dict(entries=dict(absent=dict(number=1))))
val_dataloader = dict(dataset=dict(entries=dict(absent=dict(number=3, kinds=('impossible', 'other', 'unannotated')))))
test_dataloader = dict(dataset=dict(entries=dict(absent=dict(number=3, kinds=('impossible', 'other', 'unannotated')))))
