# RefCOCO, split by UNC, tested on testA.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        level='object',
        ann_file='refcoco/refcoco_unc_train.json',
        data_prefix=dict(img='coco/train2014')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        level='object',
        ann_file='refcoco/refcoco_unc_val.json',
        data_prefix=dict(img='coco/train2014'),
        expression_mode='all'))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        level='object',
        ann_file='refcoco/refcoco_unc_testA.json',
        data_prefix=dict(img='coco/train2014'),
        expression_mode='all'))
