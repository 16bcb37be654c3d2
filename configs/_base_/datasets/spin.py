# SPIN's sub-parts (parts: spin_train_parts.json and so on).
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='spin/spin_train_subparts.json',
        data_prefix=dict(img='PartImageNet/images/train')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='spin/spin_val_subparts.json',
        data_prefix=dict(img='PartImageNet/images/val')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='spin/spin_test_subparts.json',
        data_prefix=dict(img='PartImageNet/images/test')))
