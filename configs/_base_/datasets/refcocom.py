# Trained on RefCOCO, tested on the parts of RefCOCOm's val. The other five tests are files of the same folder, e.g.
# --cfg-options test_dataloader.dataset.ann_file=refcocom/refcocom_testA_object_part.json
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = './refcoco.py'

test_dataloader = dict(dataset=dict(ann_file='refcocom/refcocom_val_part_only.json'))
