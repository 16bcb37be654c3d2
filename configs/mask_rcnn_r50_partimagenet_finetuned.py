# Mask R-CNN from COCO's weights, trained on PartImageNet's 40 part categories.
_base_ = [
    './_base_/mask_rcnn_r50.py', './_base_/partimagenet_det.py', './_base_/schedule_det.py',
    './_base_/default_runtime.py'
]
model = dict(
    detector=dict(
        data_preprocessor=dict(bgr_to_rgb=False),
        # The detector's weights below include it.
        backbone=dict(init_cfg=None),
        roi_head=dict(bbox_head=dict(num_classes=40), mask_head=dict(num_classes=40)),
        # COCO's classes are not ours: the last layers start afresh.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_1x_coco/'
            'mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth',
            allow_missing=('bbox_head.fc_cls', 'bbox_head.fc_reg', 'mask_head.conv_logits'))))
