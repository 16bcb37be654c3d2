# PASCAL-Part, whose test split is not published: val is used instead.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='pascal_part/pascal_part_train.json',
        data_prefix=dict(img='VOCdevkit/VOC2010/JPEGImages')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='pascal_part/pascal_part_val.json',
        data_prefix=dict(img='VOCdevkit/VOC2010/JPEGImages')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='pascal_part/pascal_part_val.json',
        data_prefix=dict(img='VOCdevkit/VOC2010/JPEGImages')))
