# CRIS on RefCOCO, RefCOCO+ and RefCOCOg together, each image once an epoch: the pre-training of a recipe
# (docs/recipes.md). Checkpoints are selected on RefCOCO's val.
_base_ = './cris_r50_aligned_partimagenet.py'
_folders = dict(type='PartReferDataset', data_root='data/', data_prefix=dict(img='coco/train2014'), level='object')
_test = dict(_delete_=True, expression_mode='all', test_mode=True, pipeline=_base_.test_pipeline, **_folders)
train_dataloader = dict(
    sampler=dict(_delete_=True, type='MixtureSampler'),
    dataset=dict(
        _delete_=True,
        type='MixedReferDataset',
        datasets=[
            dict(ann_file='refcoco/refcoco_unc_train.json', pipeline=_base_.train_pipeline, **_folders),
            dict(ann_file='refcoco+/refcoco+_unc_train.json', pipeline=_base_.train_pipeline, **_folders),
            dict(ann_file='refcocog/refcocog_umd_train.json', pipeline=_base_.train_pipeline, **_folders),
        ]))
val_dataloader = dict(dataset=dict(ann_file='refcoco/refcoco_unc_val.json', **_test))
test_dataloader = dict(dataset=dict(ann_file='refcoco/refcoco_unc_testA.json', **_test))
