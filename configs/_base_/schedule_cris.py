# CRIS's schedule: Adam, 1e-4, both encoders at a tenth of it, except in the first epoch, and one drop by 10. Its 50
# epochs on RefCOCO become 10 here, and the drop moves from epoch 35 to 7.
optim_wrapper = dict(
    type='SkipNonFiniteAmpOptimWrapper',
    constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(type='Adam', lr=1e-4, fused=True),
    paramwise_cfg=dict(
        custom_keys={
            'backbone': dict(lr_mult=0.1),
            'text_encoder': dict(lr_mult=0.1),
        }))
param_scheduler = [
    dict(type='UniformFirstEpochLR'),
    dict(type='MultiStepLR', milestones=[7], gamma=0.1, by_epoch=True),
]

train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=1)
val_cfg = dict()
test_cfg = dict()
# For --auto-scale-lr: the total batch size, in expressions, that the learning rate is for.
auto_scale_lr = dict(enable=False, base_batch_size=64)
