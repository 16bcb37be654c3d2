# Mask R-CNN as trained on COCO, not trained further: an expression gets the whole objects of its super-category.
_base_ = './mask_rcnn_r50_partimagenet_finetuned.py'
model = dict(
    targets='coco_objects',
    detector=dict(
        roi_head=dict(bbox_head=dict(num_classes=80), mask_head=dict(num_classes=80)),
        init_cfg=dict(allow_missing=())))
