"""COCO's 80 object classes and their correspondence to PartImageNet's super-categories.

COCO has no part classes: for "quadruped head" a detector trained on it predicts the whole animal.
"""
# COCO's classes in the order of a detector's labels (Lin et al., "Microsoft COCO", 2014).
COCO_CLASSES = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat', 'traffic light',
    'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant',
    'bear', 'zebra', 'giraffe', 'backpack', 'umbrella', 'handbag', 'tie', 'suitcase', 'frisbee', 'skis', 'snowboard',
    'sports ball', 'kite', 'baseball bat', 'baseball glove', 'skateboard', 'surfboard', 'tennis racket', 'bottle',
    'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana', 'apple', 'sandwich', 'orange', 'broccoli',
    'carrot', 'hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch', 'potted plant', 'bed', 'dining table', 'toilet',
    'tv', 'laptop', 'mouse', 'remote', 'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink',
    'refrigerator', 'book', 'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush')
# PartImageNet's bipeds are apes and monkeys, for which COCO's nearest class is person. Fish, snakes and reptiles
# have no counterpart, so that their expressions get an empty mask.
COCO_OF_SUPER_CATEGORY: dict[str, tuple[str, ...]] = {
    'quadruped': ('cat', 'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe'),
    'biped': ('person', ),
    'fish': (),
    'bird': ('bird', ),
    'snake': (),
    'reptile': (),
    'car': ('car', 'bus', 'truck'),
    'bicycle': ('bicycle', 'motorcycle'),
    'boat': ('boat', ),
    'aeroplane': ('airplane', ),
    'bottle': ('bottle', ),
}


def coco_labels(super_category: str) -> list[int]:
    """Return COCO's labels for a super-category of PartImageNet, or the label of the COCO class with that name."""
    names = COCO_OF_SUPER_CATEGORY.get(super_category, (super_category, ))
    return [COCO_CLASSES.index(name) for name in names if name in COCO_CLASSES]
