# The weights that the package has for cris_tiny_toyparts: longer, with several wordings and a loss for small parts.
_base_ = '../cris_tiny_toyparts.py'
model = dict(decode_head=dict(loss=[dict(type='TextToPixelContrastiveLoss'), dict(type='TverskyLoss')]))
train_cfg = dict(max_epochs=30, val_interval=10)
_templates = [
    '{super_category} {part}', 'the {part} of the {super_category}', '{part} of the {super_category}',
    'the {super_category} {part}'
]
train_dataloader = dict(dataset=dict(entries=dict(expressions=dict(templates=_templates))))
