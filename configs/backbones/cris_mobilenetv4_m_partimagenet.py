_base_ = './cris_convnext_b_partimagenet.py'
model = dict(backbone=dict(model_name='mobilenetv4_conv_medium.e500_r256_in1k'))
