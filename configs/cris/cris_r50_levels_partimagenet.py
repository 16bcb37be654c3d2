# "the car", "the tire of the car", "the rim of the tire of the car": one level per image and epoch, all of them in
# evaluation (docs/recipes.md).
_base_ = './cris_r50_aligned_partimagenet.py'
_words = dict(
    type='PartReferDataset',
    data_root='data/',
    entries=dict(expressions=dict(templates=['the {part} of the {super_category}'])))
train_pipeline = [dict(type='DrawLevel', weights=dict(object=1, part=1, subpart=1)), *_base_.train_pipeline]
train_dataloader = dict(
    dataset=dict(
        ann_file='spin/train_levels.json',
        data_prefix=dict(img='PartImageNet/images/train'),
        pipeline=train_pipeline,
        **_words))
val_dataloader = dict(
    dataset=dict(ann_file='spin/val_levels.json', data_prefix=dict(img='PartImageNet/images/val'), **_words))
test_dataloader = dict(
    dataset=dict(ann_file='spin/test_levels.json', data_prefix=dict(img='PartImageNet/images/test'), **_words))
