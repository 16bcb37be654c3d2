# A small CRIS on an encoder that was trained on ImageNet, for your own parts on a CPU: pip install 'mmpartref[lite]'.
_base_ = '../cris_tiny_toyparts.py'
data_root = 'data/my_parts/'
input_size = 256
model = dict(
    data_preprocessor=dict(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
    backbone=dict(
        _delete_=True, type='EfficientNetLite', init_cfg=dict(type='PackagePretrained', checkpoint='package')),
    neck=dict(out_channels=(64, 96, 128)),
    # The Dice loss weighs a small part like a large one: docs/benchmarks.md has what it is worth.
    decode_head=dict(loss=[dict(type='TextToPixelContrastiveLoss'), dict(type='TverskyLoss')]))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
train_cfg = dict(max_epochs=8, val_interval=2)
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/val.json'))
test_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='annotations/val.json', data_prefix=dict(img='images/val')))
