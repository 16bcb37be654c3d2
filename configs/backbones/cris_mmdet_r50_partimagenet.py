_base_ = './cris_convnext_b_partimagenet.py'
model = dict(
    backbone=dict(
        _delete_=True, type='mmdet.ResNet', depth=50, init_cfg=dict(
            type='Pretrained', prefix='backbone.',
            checkpoint='https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_1x_coco/'
            'mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth')))
