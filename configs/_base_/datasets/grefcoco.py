# gRefCOCO, tested on testA.
# Written by tools/convert_dataset.py into data/; docs/data.md says how.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        level='object',
        ann_file='grefcoco/grefcoco_unc_train.json',
        data_prefix=dict(img='coco/train2014')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        level='object',
        ann_file='grefcoco/grefcoco_unc_val.json',
        data_prefix=dict(img='coco/train2014'),
        wordings='each'))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        level='object',
        ann_file='grefcoco/grefcoco_unc_testA.json',
        data_prefix=dict(img='coco/train2014'),
        wordings='each'))
