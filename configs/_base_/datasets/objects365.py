# Objects365's whole objects, from a release with masks; val is used as test split. The names of the json
# files are those of version 2.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = './coco_objects.py'

_val = dict(ann_file='objects365/zhiyuan_objv2_val.json', data_prefix=dict(img='Objects365/val'))
train_dataloader = dict(
    dataset=dict(ann_file='objects365/zhiyuan_objv2_train.json', data_prefix=dict(img='Objects365/train')))
val_dataloader = dict(dataset=_val)
test_dataloader = dict(dataset=_val)
