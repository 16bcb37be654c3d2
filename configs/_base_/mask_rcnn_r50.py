# mmdet's Mask R-CNN R50-FPN from the installed package, as a referring detector of parts.
_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py']
model = dict(
    _delete_=True,
    type='ReferringDetector',
    detector=_base_.model,
    resolver='text',
    rule='union',
    score_threshold=0.5)
