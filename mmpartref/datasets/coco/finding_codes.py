"""Every fault the doctor knows: how bad it is and how to mend it."""
from dataclasses import dataclass

# What the data set refuses to read, or what makes results wrong.
ERROR = 'error'
# What the data set reads, but leaves out or alters, or what may be meant otherwise.
WARNING = 'warning'
# Good to know.
NOTE = 'note'
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Code:
    """A kind of fault; ``repaired`` says that ``repair`` mends every one, or every one it safely can."""
    severity: str
    what: str
    mend: str
    repaired: bool = False


CODES: dict[str, Code] = {
    # The json.
    'unreadable-json': Code(ERROR, 'the json cannot be read', 'download it again'),
    'bad-record': Code(ERROR, 'a record lacks a key or has a value of the wrong kind', 'correct the record by hand'),
    'duplicate-image-id': Code(
        ERROR, 'two images have one id', 'give each its own and correct the image_id of its annotations; identical '
        'records: drop one', True),
    'duplicate-annotation-id': Code(ERROR, 'two annotations have one id', 'give each its own', True),
    'duplicate-category-id': Code(
        ERROR, 'two categories have one id', 'give each its own and correct the category_id of its annotations; '
        'identical records: drop one', True),
    'duplicate-file-name': Code(ERROR, 'two images name one file', 'unite them', True),
    'dangling-image-id': Code(
        ERROR, 'an annotation belongs to no image', 'add the image, or drop the annotation', True),
    'dangling-category-id': Code(
        ERROR, 'an annotation has no category', 'add the category, or drop the annotation', True),
    'same-meaning': Code(ERROR, 'two categories mean the same', 'unite them or rename one'),
    'backslash-in-file-name': Code(WARNING, "a file name has '\\', read as '/'", "write '/'", True),
    'photo-without-parts': Code(WARNING, 'a photo has no annotation; it yields no item', 'annotate or drop it'),
    'crowd-annotation': Code(WARNING, 'a crowd annotation is left out', 'annotate the parts one by one'),
    'duplicate-annotation': Code(WARNING, 'a mask of one category is there twice in a photo', 'drop one', True),
    'unknown-category': Code(
        WARNING, "a category is none of PartImageNet's 40", 'correct its name, or take it as it is'),
    'missing-category': Code(WARNING, "one of PartImageNet's 40 categories is not in the json", 'add it'),
    'alias-name': Code(NOTE, 'a category name that no speaker would use; it is read as its alias', 'rename it', True),
    'unknown-synset': Code(
        WARNING, "a file name begins with none of PartImageNet's 158 synsets: no class name",
        'name the file <synset>_<id>'),
    'other-super-category': Code(
        NOTE, "parts are of another super-category than their photo's class: no class name",
        'look whether the category or the file name is wrong'),
    # Masks.
    'bad-segmentation': Code(
        ERROR, 'a segmentation is neither polygons nor an RLE', 'write [[x, y, ...], ...] or an RLE'),
    'odd-coordinates': Code(ERROR, 'a polygon ring has an odd count of numbers', 'write pairs of x and y'),
    'bad-coordinate': Code(ERROR, 'a polygon ring holds something that is no finite number', 'write x, y in pixels'),
    'far-outside-photo': Code(ERROR, 'a polygon lies many photo sizes away', 'write x, y in pixels of this photo'),
    'rle-size': Code(ERROR, "an RLE is not of its photo's size", "encode the mask at the photo's own size"),
    'rle-counts': Code(ERROR, 'the counts of an RLE are damaged', 'encode it again with pycocotools.mask.encode'),
    'short-ring': Code(WARNING, 'a polygon ring of fewer than three points is left out', 'drop or redraw it', True),
    'zero-area-ring': Code(WARNING, 'the points of a polygon ring lie on one line', 'drop or redraw it', True),
    'outside-photo': Code(WARNING, 'a polygon leaves the photo and is cut off', 'clip it', True),
    'no-ring': Code(WARNING, 'a segmentation is empty; the annotation is left out', 'drop or redraw it', True),
    'empty-mask': Code(WARNING, 'a mask covers no pixel; the annotation is left out', 'drop or redraw it', True),
    'wrong-area': Code(WARNING, "'area' is not the mask's", 'compute it from the mask', True),
    'wrong-bbox': Code(
        WARNING, "'bbox' is not the mask's; a detector would be trained on it", 'compute it from the mask', True),
    'near-empty-part': Code(WARNING, 'a mask covers very few pixels', 'look at it; leave it out of training if wrong'),
    'overlapping-parts': Code(WARNING, 'parts of one object claim the same pixels', 'redraw them, or take it as it is'),
    # Photos.
    'missing-photo': Code(ERROR, 'the json names a photo that is nowhere', 'copy it, or drop its record'),
    'misplaced-photo': Code(ERROR, 'a photo is not where the data set looks', 'move it'),
    'empty-photo': Code(ERROR, 'a photo has no bytes', 'download it again'),
    'truncated-photo': Code(ERROR, 'a photo is cut off', 'download it again'),
    'unreadable-photo': Code(ERROR, 'a photo cannot be decoded', 'download it again'),
    'wrong-photo-size': Code(
        ERROR, 'a photo is not of the size in the json', 'use the photo that was annotated, or correct the json'),
    'exif-orientation': Code(
        WARNING, 'a photo is turned by its EXIF orientation when read', 'look whether the masks fit; save it upright'),
    'not-rgb': Code(NOTE, 'a photo is not stored as RGB and is converted when read', 'nothing, or save it as RGB'),
    'extra-photo': Code(NOTE, 'a file beside the photos is in no json', 'nothing, or move it away'),
    # Label maps.
    'missing-map': Code(WARNING, 'a photo has no label map, others have', 'copy it'),
    'unreadable-map': Code(WARNING, 'a label map cannot be read', 'download it again'),
    'wrong-map-size': Code(WARNING, 'a label map is not of the size in the json', 'use the map of this photo'),
    'bad-map-value': Code(WARNING, 'a label map holds a value that is no category', 'use the map of part labels'),
    'map-disagrees': Code(WARNING, 'json and label map say different things', 'look which one is right'),
    'extra-map': Code(NOTE, 'a label map belongs to no photo of the json', 'nothing, or move it away'),
    # Between the splits.
    'duplicate-across-splits': Code(ERROR, 'one photo is in two splits', 'drop it from the one trained on'),
    'duplicate-in-split': Code(WARNING, 'one photo is in a split under two names', 'drop one'),
    'same-photo-name': Code(
        ERROR, 'one ImageNet photo, going by its name, is in two splits', 'drop it from the one trained on'),
    'same-file-name': Code(NOTE, 'a file name occurs in two splits', 'look whether it is the same photo'),
    'missing-split': Code(NOTE, 'a split has no json', 'copy it, if you want to use it'),
    'two-jsons': Code(NOTE, 'a split has two json files', 'look whether you use the one that was examined'),
    'mixed-splits': Code(
        WARNING, "files of PartImageNet's Seg and OOD splits lie side by side", 'take all from one of the two'),
    'swapped-split': Code(WARNING, 'a json seems to be that of another split', 'look whether files were swapped'),
    'shared-classes': Code(WARNING, 'splits of OOD share classes', 'take the files as published'),
    'count-differs': Code(WARNING, 'a count is not the published one', 'download it again, or take it as it is'),
}
