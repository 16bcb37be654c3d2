# Trained on RefCOCO, tested on the part subset of GSEval, which has no training split.
# Written by tools/convert_dataset.py into data/; see docs/data.md.
_base_ = './refcoco.py'

test_dataloader = dict(dataset=dict(ann_file='gseval/gseval_part.json', data_prefix=dict(img='coco')))
