# PartImageNet's parts and COCO's objects, three images to one, each image of PartImageNet once an epoch
# (docs/recipes.md).
_base_ = './cris_r50_aligned_partimagenet.py'
train_dataloader = dict(
    sampler=dict(_delete_=True, type='MixtureSampler', weights=[3, 1], epoch_length=27308),
    dataset=dict(
        _delete_=True,
        type='MixedReferDataset',
        datasets=[
            _base_.train_dataloader.dataset,
            dict(
                type='PartReferDataset',
                data_root='data/coco/',
                ann_file='annotations/instances_train2017.json',
                data_prefix=dict(img='train2017'),
                level='object',
                source='COCO',
                pipeline=_base_.train_pipeline),
        ]))
