# RefCOCO+, split by UNC, tested on testA.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = './refcoco.py'

train_dataloader = dict(dataset=dict(ann_file='refcoco+/refcoco+_unc_train.json'))
val_dataloader = dict(dataset=dict(ann_file='refcoco+/refcoco+_unc_val.json'))
test_dataloader = dict(dataset=dict(ann_file='refcoco+/refcoco+_unc_testA.json'))
