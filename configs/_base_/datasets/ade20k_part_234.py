# ADE20K-Part-234, which has no test split: val is used instead.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ade20k_part_234/ade20k_part_234_train.json',
        data_prefix=dict(img='ADE20KPart234/images/training')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ade20k_part_234/ade20k_part_234_val.json',
        data_prefix=dict(img='ADE20KPart234/images/validation')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ade20k_part_234/ade20k_part_234_val.json',
        data_prefix=dict(img='ADE20KPart234/images/validation')))
