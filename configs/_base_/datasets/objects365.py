# Objects365's whole objects, from a release with masks; val stands for the test split. The names of the json
# files are those of version 2.
# Written by tools/convert_dataset.py into data/; docs/data.md says how.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='objects365/zhiyuan_objv2_train.json',
        data_prefix=dict(img='Objects365/train')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='objects365/zhiyuan_objv2_val.json',
        data_prefix=dict(img='Objects365/val')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='objects365/zhiyuan_objv2_val.json',
        data_prefix=dict(img='Objects365/val')))
