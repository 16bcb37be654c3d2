# PartImageNet's OOD split: trained on 109 classes, selected on 19 others, tested on 30 others.
_base_ = '../cris_r50_partimagenet.py'
_files = {_split: f'annotations/{_split}/{_split}.json' for _split in ('train', 'val', 'test')}
_ood = dict(name='partimagenet_ood', ann_files=_files)
train_dataloader = dict(dataset=dict(entries=dict(protocol=_ood)))
val_dataloader = dict(dataset=dict(entries=dict(protocol=_ood)))
test_dataloader = dict(dataset=dict(entries=dict(protocol=_ood)))
default_hooks = dict(protocol=dict(type='ProtocolHook'))
