# Parts and whole objects (docs/recipes.md).
_base_ = '../cris_tiny_toyparts.py'
train_dataloader = dict(dataset=dict(entries=dict(objects=dict())))
