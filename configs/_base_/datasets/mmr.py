# MMR, tested on its questions for parts (MMR_test_obj_only.json, MMR_test_mixed.json: other files of the same folder).
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='mmr/MMR_train.json',
        data_prefix=dict(img='coco')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='mmr/MMR_val.json',
        data_prefix=dict(img='coco')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='mmr/MMR_test_part_only.json',
        data_prefix=dict(img='coco')))
