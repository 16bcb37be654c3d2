# Minutes on two CPU cores, from random weights: a high rate for every part, one cycle.
train_cfg = dict(by_epoch=True, max_epochs=7, val_interval=3)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type='SkipNonFiniteOptimWrapper',
    constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=1.0))
# Of the length of the training. Not 0.2, with which torch's formula divides by zero in a run of 5 steps.
param_scheduler = [
    dict(type='OneCycleLR', eta_max=2e-3, pct_start=0.2000001, by_epoch=True, convert_to_iter_based=True)
]
