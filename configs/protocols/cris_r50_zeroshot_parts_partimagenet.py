# Trained and selected on 25 part categories, tested on all 40.
_base_ = '../cris_r50_partimagenet.py'
_seen = dict(name='partimagenet_parts_25_15', role='seen')
train_dataloader = dict(dataset=dict(entries=dict(protocol=_seen)))
val_dataloader = dict(dataset=dict(entries=dict(protocol=_seen)))
test_evaluator = dict(protocol=dict(name='partimagenet_parts_25_15'))
default_hooks = dict(protocol=dict(type='ProtocolHook'))
