# Trained on RefCOCO, tested on RefCOCOm's parts (testA, testB and object_part: other files of the same folder).
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = './refcoco.py'

test_dataloader = dict(dataset=dict(ann_file='refcocom/refcocom_val_part_only.json'))
