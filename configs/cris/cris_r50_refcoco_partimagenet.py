# Fine-tuned on PartImageNet from cris_r50_refcoco.py: all weights from its checkpoint (docs/recipes.md).
_base_ = './cris_r50_aligned_partimagenet.py'
load_from = 'work_dirs/cris_r50_refcoco/epoch_10.pth'
