"""Codes of all faults that the validator and the dataset doctor report.

To add a check: its code here, the check in ``datasets/coco/validate.py`` (what the loader rejects or drops) or
``doctor/checks/``, and its repair in ``doctor/repair/fix_records.py`` where ``repaired`` is true.
"""
from dataclasses import dataclass

# The dataset cannot be loaded, or results would be wrong.
ERROR = 'error'
# The dataset loads, but drops or changes something, or something may be unintended.
WARNING = 'warning'
# Good to know.
NOTE = 'note'
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Code:
    """A kind of fault; ``repaired``: the doctor's repair fixes every one, or every one that it safely can."""
    severity: str
    what: str
    fix: str
    repaired: bool = False


CODES: dict[str, Code] = {
    # The json.
    'unreadable-json': Code(ERROR, 'the json cannot be read', 'download it again'),
    'bad-record': Code(
        ERROR, 'a record lacks a key or has a value of the wrong type', 'repair or correct it by hand', True),
    'duplicate-image-id': Code(
        ERROR, 'two images have the same id', 'give each its own id and correct the image_id of its annotations; '
        'identical records: drop one', True),
    'duplicate-annotation-id': Code(ERROR, 'two annotations have the same id', 'give each its own id', True),
    'duplicate-category-id': Code(
        ERROR, 'two categories have the same id', 'give each its own id and correct the category_id of its '
        'annotations; identical records: drop one', True),
    'dangling-image-id': Code(
        ERROR, 'an annotation names an image that does not exist', 'add the image, or drop the annotation', True),
    'dangling-category-id': Code(
        ERROR, 'an annotation names a category that does not exist', 'add the category, or drop the annotation', True),
    'bad-referring': Code(
        ERROR, "a record of the list 'referring' cannot be used", 'correct it by hand, or drop it', True),
    'same-meaning': Code(ERROR, 'two categories have the same meaning', 'unite them or rename one', True),
    'nothing-left': Code(ERROR, 'no annotation can be used', 'use the json that was meant'),
    'duplicate-file-name': Code(WARNING, 'two images name the same file', 'unite them', True),
    'backslash-in-file-name': Code(WARNING, "a file name has '\\', which is read as '/'", "write '/'", True),
    'image-without-parts': Code(WARNING, 'an image has no annotation and gives no item', 'annotate or drop it'),
    'crowd-annotation': Code(WARNING, 'a crowd annotation is dropped', 'annotate the parts one by one'),
    'duplicate-annotation': Code(
        WARNING, 'a mask occurs twice with the same category in an image', 'drop one', True),
    'project-name': Code(
        WARNING, 'the super-category of all categories looks like the name of a project; expressions do not use it',
        'write the object that the parts belong to'),
    'unknown-category': Code(
        WARNING, "a category is not one of PartImageNet's 40", 'correct its name, or ignore this'),
    'missing-category': Code(WARNING, "one of PartImageNet's 40 categories is not in the json", 'add it'),
    'alias-name': Code(NOTE, 'an unusual category name is read as its alias', 'rename it', True),
    'unknown-synset': Code(
        WARNING, "a file name does not begin with one of PartImageNet's 158 synsets: no class name",
        'name the file <synset>_<id>'),
    'other-super-category': Code(
        NOTE, "parts are of another super-category than their image's class: no class name",
        'check whether the category or the file name is wrong'),
    # Masks.
    'bad-segmentation': Code(
        ERROR, 'a segmentation cannot be read', 'write [[x, y, ...], ...] or an RLE of the image\'s size', True),
    'short-ring': Code(WARNING, 'a polygon ring of fewer than three points is dropped', 'drop or redraw it', True),
    'zero-area-ring': Code(WARNING, 'all points of a polygon ring are on one line', 'drop or redraw it', True),
    'outside-image': Code(WARNING, 'a polygon leaves the image and is clipped', 'clip it', True),
    'no-ring': Code(WARNING, 'an annotation without a polygon ring is dropped', 'drop or redraw it', True),
    'empty-mask': Code(WARNING, 'an annotation whose mask covers no pixel is dropped', 'drop or redraw it', True),
    'wrong-area': Code(WARNING, "'area' is not the mask's", 'compute it from the mask', True),
    'wrong-bbox': Code(
        WARNING, "'bbox' is not the mask's; a detector would be trained on it", 'compute it from the mask', True),
    'missing-measure': Code(NOTE, "an annotation has no 'area' or 'bbox'", 'nothing; compute it for a detector', True),
    'near-empty-part': Code(WARNING, 'a mask covers very few pixels', 'look at it; drop it from training if wrong'),
    'overlapping-parts': Code(WARNING, 'parts of one object cover the same pixels', 'redraw them, or ignore this'),
    # Image files.
    'missing-image': Code(ERROR, 'an image file does not exist', 'copy it, or drop its record'),
    'misplaced-image': Code(ERROR, 'an image file is not where the dataset looks for it', 'move it'),
    'empty-image': Code(ERROR, 'an image file has no bytes', 'download it again'),
    'truncated-image': Code(ERROR, 'an image file is truncated', 'download it again'),
    'unverified-image': Code(
        NOTE, 'a JPEG may lack a part of its data; simplejpeg, which could tell, is not installed',
        'pip install simplejpeg, or look at the image'),
    'unreadable-image': Code(ERROR, 'an image file cannot be decoded', 'download it again'),
    'wrong-image-size': Code(
        ERROR, 'an image does not have the size in the json', 'use the image that was annotated, or correct the json'),
    'exif-orientation': Code(
        WARNING, 'an image is rotated by its EXIF orientation when read', 'check that the masks fit; save it upright'),
    'not-rgb': Code(NOTE, 'an image is not stored as RGB and is converted when read', 'nothing, or save it as RGB'),
    'extra-image': Code(NOTE, 'a file in an image folder is in no json', 'nothing, or move it away'),
    # Label maps.
    'missing-map': Code(WARNING, 'an image has no label map, others have', 'copy it'),
    'unreadable-map': Code(WARNING, 'a label map cannot be read', 'download it again'),
    'wrong-map-size': Code(WARNING, 'a label map does not have the size in the json', 'use the map of this image'),
    'bad-map-value': Code(WARNING, 'a label map has a value that is not a category', 'use the map of part labels'),
    'map-disagrees': Code(WARNING, 'json and label map differ', 'look which one is right'),
    'extra-map': Code(NOTE, 'a label map belongs to no image of the json', 'nothing, or move it away'),
    # Between the splits.
    'duplicate-across-splits': Code(ERROR, 'an image is in two splits', 'drop it from the training split'),
    'duplicate-in-split': Code(WARNING, 'an image is in a split under two names', 'drop one'),
    'same-image-name': Code(
        ERROR, 'an ImageNet image, judged by its name, is in two splits', 'drop it from the training split'),
    'same-file-name': Code(NOTE, 'a file name occurs in two splits', 'look whether it is the same image'),
    'missing-split': Code(NOTE, 'a split has no json', 'copy it, if you want to use it'),
    'two-jsons': Code(NOTE, 'a split has two json files', 'check that you use the one that was examined'),
    'mixed-splits': Code(
        WARNING, "files of PartImageNet's Seg and OOD splits are in one tree", 'take all from one of the two'),
    'swapped-split': Code(WARNING, 'a json seems to be that of another split', 'check whether files were swapped'),
    'shared-classes': Code(WARNING, 'splits of OOD share classes', 'use the files as published'),
    'count-differs': Code(WARNING, 'a count is not the published one', 'download it again, or ignore this'),
}
