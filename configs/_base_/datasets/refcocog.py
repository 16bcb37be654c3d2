# RefCOCOg, split by UMD.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = './refcoco.py'

train_dataloader = dict(dataset=dict(ann_file='refcocog/refcocog_umd_train.json'))
val_dataloader = dict(dataset=dict(ann_file='refcocog/refcocog_umd_val.json'))
test_dataloader = dict(dataset=dict(ann_file='refcocog/refcocog_umd_test.json'))
