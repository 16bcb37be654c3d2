# InstructPart's instructions for tasks; instructpart_test_object.json has the names of the parts. It has no val split:
# test is used instead, so do not select a checkpoint by it.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = '../partimagenet_refer_aligned.py'
dataset_type = 'PartReferDataset'
data_root = 'data/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='instructpart/instructpart_train1800_task.json',
        data_prefix=dict(img='InstructPart/train/train1800/images')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='instructpart/instructpart_test_task.json',
        data_prefix=dict(img='InstructPart/test/images')))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='instructpart/instructpart_test_task.json',
        data_prefix=dict(img='InstructPart/test/images')))
