# For small parts: the Dice loss, lateral maps and augmentation, not yet measured at this size (docs/recipes.md).
_base_ = './cris_r50_aligned_partimagenet.py'
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    decode_head=dict(laterals=2, loss=[dict(type='TextToPixelContrastiveLoss'), dict(type='TverskyLoss')]))
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomPartFlip'),
    dict(type='RandomPartZoom', scale=(0.5, 3.0)),
    dict(type='RandomColour'),
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
