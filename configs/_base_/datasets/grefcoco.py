# gRefCOCO, tested on testA.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = './refcoco.py'

train_dataloader = dict(dataset=dict(ann_file='grefcoco/grefcoco_unc_train.json'))
val_dataloader = dict(dataset=dict(ann_file='grefcoco/grefcoco_unc_val.json'))
test_dataloader = dict(dataset=dict(ann_file='grefcoco/grefcoco_unc_testA.json'))
