# Parts and whole objects, an object being the union of its parts. Validated and tested on parts (docs/recipes.md).
_base_ = './cris_r50_aligned_partimagenet.py'
train_dataloader = dict(dataset=dict(entries=dict(objects=dict())))
