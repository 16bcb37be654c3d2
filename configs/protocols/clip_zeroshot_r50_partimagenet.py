# CLIP RN50 as it is, no training: python tools/test.py configs/protocols/clip_zeroshot_r50_partimagenet.py
_base_ = ['../_base_/partimagenet_refer_aligned.py', '../_base_/default_runtime.py']
model = dict(
    type='CLIPZeroShotSegmentor',
    backbone=dict(type='CLIPResNet', init_cfg=dict(type='CLIPPretrained', checkpoint='RN50')),
    text_encoder=dict(type='CLIPTextEncoder', word_length=77, init_cfg=dict(type='CLIPPretrained', checkpoint='RN50')))
test_cfg = dict()
train_dataloader = None
val_dataloader = None
val_evaluator = None
