"""Which of COCO's 80 object classes stand for PartImageNet's super-categories.

COCO has no part classes: a detector trained on it can answer "quadruped head" with the whole dog and nothing better.
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
# PartImageNet's bipeds are apes and monkeys, which COCO lacks: a person is the nearest shape. Fish, snakes and reptiles
# have no counterpart; an expression about them gets an empty mask.
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
    """Return the labels that stand for a super-category; of another data set's, the class of its own name if any."""
    names = COCO_OF_SUPER_CATEGORY.get(super_category, (super_category, ))
    return [COCO_CLASSES.index(name) for name in names if name in COCO_CLASSES]
