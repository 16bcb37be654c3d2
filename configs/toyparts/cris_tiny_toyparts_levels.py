# An image has its objects or its parts as targets, drawn in each epoch (docs/recipes.md).
_base_ = './cris_tiny_toyparts_joint.py'
train_pipeline = [dict(type='DrawLevel', weights=dict(object=1, part=3)), *_base_.train_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
