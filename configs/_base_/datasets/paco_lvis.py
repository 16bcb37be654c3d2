# PACO-LVIS's parts.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='paco/paco_lvis_v1_train.json',
        data_prefix=dict(img='coco')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='paco/paco_lvis_v1_val.json',
        data_prefix=dict(img='coco')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='paco/paco_lvis_v1_test.json',
        data_prefix=dict(img='coco')))
