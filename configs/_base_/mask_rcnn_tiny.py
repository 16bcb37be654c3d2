# A small Mask R-CNN for two CPU cores, to compare with cris_tiny: same detector, narrower and shallower, anchors for
# small parts, random weights.
_base_ = './mask_rcnn_r50.py'
model = dict(
    detector=dict(
        data_preprocessor=dict(bgr_to_rgb=False),
        backbone=dict(depth=18, base_channels=16, norm_eval=False, frozen_stages=-1, init_cfg=None),
        neck=dict(in_channels=[16, 32, 64, 128], out_channels=64),
        rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=64),
            bbox_head=dict(in_channels=64, fc_out_channels=256),
            mask_roi_extractor=dict(out_channels=64),
            mask_head=dict(in_channels=64, conv_out_channels=64, num_convs=2)),
        train_cfg=dict(
            rpn=dict(sampler=dict(num=128)),
            rpn_proposal=dict(nms_pre=500, max_per_img=200),
            rcnn=dict(sampler=dict(num=128))),
        test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200))))
