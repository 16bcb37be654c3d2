# Trained and selected without one super-category, tested on all. ProtocolHook rejects folds that differ.
_base_ = '../cris_r50_partimagenet.py'
_others = dict(name='leave_one_super_category_out', fold='snake', role='seen')
train_dataloader = dict(dataset=dict(entries=dict(protocol=_others)))
val_dataloader = dict(dataset=dict(entries=dict(protocol=_others)))
test_evaluator = dict(protocol=dict(name='leave_one_super_category_out', fold='snake'))
default_hooks = dict(protocol=dict(type='ProtocolHook'))
