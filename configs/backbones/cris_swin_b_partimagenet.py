_base_ = './cris_convnext_b_partimagenet.py'
model = dict(backbone=dict(model_name='swin_base_patch4_window7_224.ms_in22k'))
