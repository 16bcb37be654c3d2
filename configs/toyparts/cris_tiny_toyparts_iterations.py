# The tiny CRIS with a schedule by iteration, as mmsegmentation's configs have.
_base_ = '../cris_tiny_toyparts.py'
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=1500, val_interval=500)
param_scheduler = [dict(type='OneCycleLR', eta_max=2e-3, pct_start=0.2, total_steps=1500, by_epoch=False)]
