# CRIS's schedule without its first epoch at the full learning rate.
_base_ = './schedule_cris.py'
param_scheduler = [dict(type='MultiStepLR', milestones=[7], gamma=0.1, by_epoch=True)]
