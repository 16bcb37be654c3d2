_base_ = './cris_dinov2_b14_partimagenet.py'
model = dict(backbone=dict(model_name='vit_base_patch16_dinov3.lvd1689m'))
