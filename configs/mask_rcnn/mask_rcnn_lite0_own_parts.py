# A small Mask R-CNN on the encoder of cris_lite0_own_parts.py, to compare with it on your own parts.
_base_ = '../toyparts/mask_rcnn_tiny_toyparts.py'
data_root = 'data/my_parts/'
input_size = 256
model = dict(
    detector=dict(
        data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
        backbone=dict(
            _delete_=True,
            type='mmpartref.EfficientNetLite',
            out_indices=(0, 1, 2, 3),
            init_cfg=dict(type='mmpartref.PackagePretrained', checkpoint='package')),
        neck=dict(in_channels=[24, 40, 112, 320])))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
train_cfg = dict(max_epochs=8, val_interval=2)
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/train.json'))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/val.json'))
test_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='annotations/val.json', data_prefix=dict(img='images/val')))
