# Pascal-Part-116, which has no test split: val is used instead.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='pascal_part_116/pascal_part_116_train.json',
        data_prefix=dict(img='PascalPart116/images/train')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='pascal_part_116/pascal_part_116_val.json',
        data_prefix=dict(img='PascalPart116/images/val')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='pascal_part_116/pascal_part_116_val.json',
        data_prefix=dict(img='PascalPart116/images/val')))
