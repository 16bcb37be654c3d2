_base_ = [
    '../_base_/mask_rcnn_tiny.py', '../_base_/toyparts_det.py', '../_base_/schedule_tiny.py',
    '../_base_/default_runtime.py'
]
