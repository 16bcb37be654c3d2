# COCO's whole objects, to train on before parts; val is used as test split, which has no masks.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='coco_objects/instances_train2017.json',
        data_prefix=dict(img='coco/train2017')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='coco_objects/instances_val2017.json',
        data_prefix=dict(img='coco/val2017')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='coco_objects/instances_val2017.json',
        data_prefix=dict(img='coco/val2017')))
