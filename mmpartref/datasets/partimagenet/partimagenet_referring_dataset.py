"""PartImageNet as a referring dataset."""
from collections import Counter
from collections.abc import Callable

from mmengine import fileio

from mmpartref.datasets.coco.records import Category, Image, PartName, plain, split_category
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.partimagenet.partimagenet_names import (
    CATEGORY_NAMES,
    PARTS,
    UNLISTED_PARTS,
    Synset,
    canonical_name,
    load_synsets,
)
from mmpartref.datasets.referring.part_refer_dataset import PartReferDataset
from mmpartref.datasets.referring.steps.image_labels import label_of
from mmpartref.registry import DATASETS

# Images of each split as published. The Seg split has all 158 classes in each, the OOD split disjoint ones.
SEG_CLASSES = 158
SEG_IMAGES = {'train': 20481, 'val': 1206, 'test': 2408}
OOD_CLASSES = {'train': 109, 'val': 19, 'test': 30}
OOD_IMAGES = {'train': 16540, 'val': 2957, 'test': 4598}


def partimagenet_names() -> dict[str, PartName]:
    """Return the meanings of the 40 categories by plain name, parts with an alias under both spellings."""
    names = [(part, canonical_name(owner, part)) for owner, parts in PARTS.items() for part in parts]
    return {f'{name.super_category} {spelling}': name for part, name in names for spelling in (plain(part), name.part)}


def partimagenet_labels() -> list[str]:
    """Return the labels of the 40 categories (see ``ImageLabels``), in PartImageNet's order."""
    return [label_of(canonical_name(owner, part)) for owner, parts in PARTS.items() for part in parts]


def name_partimagenet_category(category: Category) -> PartName:
    """Return the super-category and part of a category, in PartImageNet's words where it is one of the 40.

    The 40 are found by the name ("Fish Head") or by super-category and part ("Head" of "Fish"); others are split by
    ``split_category``.
    """
    known = PARTIMAGENET_NAMES.get(plain(category.name))
    if known is not None:
        return known
    name = split_category(category)
    return PARTIMAGENET_NAMES.get(' '.join(name), name)


def wnid(file_name: str) -> str:
    """Return the synset in an image's file name: "n02085782" of "n02085782/n02085782_1234.JPEG"."""
    return base_name(file_name).split('_')[0]


def base_name(file_name: str) -> str:
    """Return a file name without its folders."""
    return file_name.rsplit('/', 1)[-1]


def detect_split(num_classes: int, num_images: int) -> str:
    """Return which of PartImageNet's two splits a json is.

    By the number of classes or, where it fits neither split, the published number of images.

    Returns:
        A sentence that begins with 'Seg', 'OOD' or 'neither'.
    """
    seg = [split for split, images in SEG_IMAGES.items() if images == num_images]
    ood = [split for split, classes in OOD_CLASSES.items() if classes == num_classes]
    ood += [split for split, images in OOD_IMAGES.items() if images == num_images and split not in ood]
    found = f'{num_classes} classes, {num_images:,} images'
    if num_classes == SEG_CLASSES or (seg and not ood):
        return f'Seg {seg[0]}: {found}' if seg else f'Seg: {found}, which is not one of its published splits'
    if ood:
        published = f'{OOD_CLASSES[ood[0]]} classes, {OOD_IMAGES[ood[0]]:,} images'
        return f'OOD {ood[0]}: {found}' + ('' if found == published else f'; published: {published}')
    return f'neither: {found}'


# Functions from a file name to the path in the image folder, by layout.
IMAGE_LAYOUTS: dict[str, Callable[[str], str]] = {
    'as in the json': str,
    'in class folders': lambda name: f'{wnid(name)}/{base_name(name)}',
    'without folders': base_name,
}
PARTIMAGENET_NAMES = partimagenet_names()


@DATASETS.register_module()
class PartImageNetReferringDataset(PartReferDataset):
    """PartImageNet (He et al., ECCV 2022), its Seg or its OOD split.

    Takes the arguments of ``PartReferDataset`` and adds:

    - the 40 category names, independent of the json's ids and super-categories; its "tier" is a tire. Other names are
      read as in ``PartReferDataset``, and the summary counts them;
    - the ImageNet synset before the first '_' of an image's file name, for ``{class_name}``. A part of another
      super-category than its image's class has no class name;
    - the official layouts: ``<img>/<synset>_<id>.JPEG`` and ``<img>/<synset>/<synset>_<id>.JPEG`` (the OOD json has
      file names without the folder). The layout in which the first image exists is used for all.

    Attributes:
        split: name of the split, see ``detect_split``; also in the summary.
    """

    _names = PARTIMAGENET_NAMES
    split: str = 'not loaded'

    @staticmethod
    def synset(file_name: str) -> Synset | None:
        """Return the class of an image, or None where its name does not begin with one of the 158 synsets."""
        return load_synsets().get(wnid(file_name))

    def name_category(self, category: Category) -> PartName:
        """Return the meaning of a category; see ``name_partimagenet_category``."""
        return name_partimagenet_category(category)

    def class_name(self, image: Image, name: PartName) -> str | None:
        """Return the image's ImageNet class where it is of the part's super-category."""
        synset = self.synset(image.file_name)
        if synset is None or plain(synset.super_category) != name.super_category:
            return None
        return plain(synset.class_name)

    def image_super_category(self, image: Image) -> str | None:
        """Return the super-category of the image's ImageNet class."""
        synset = self.synset(image.file_name)
        return None if synset is None else plain(synset.super_category)

    def possible_parts(self) -> list[tuple[str, str]]:
        """Return parts of the 11 super-categories that are not among the 40 categories."""
        return [(plain(owner), part) for owner, parts in UNLISTED_PARTS.items() for part in parts]

    def image_resolver(self, document: CocoParts) -> Callable[[str], str]:
        """Choose the layout of ``IMAGE_LAYOUTS`` in which the first image exists.

        Where it exists in none, the json's file names are used, and the summary has a line about it.
        """
        folder = self.data_prefix['img'] or '.'
        if document.images:
            first = document.images[0].file_name
            for layout, resolve in IMAGE_LAYOUTS.items():
                if fileio.exists(fileio.join_path(folder, resolve(first))):
                    document.statistics.notes.append(f'layout       images {layout}, below {folder}')
                    return resolve
            document.statistics.notes.append(f'layout       the first image, {first}, is not below {folder}, with or '
                                             'without a class folder: set data_root and data_prefix')
        return str

    def describe(self, document: CocoParts) -> list[str]:
        """Return lines with the split, and with counts of names that are not PartImageNet's; sets ``split``."""
        names = document.names
        classes = Counter(self.synset(image.file_name) for image in document.images)
        unknown = classes.pop(None, 0)
        self.split = detect_split(len(classes), len(document.images))
        known = set(self._names.values())
        foreign = [document.categories[key].name for key, name in names.items() if name not in known]
        notes = [f'split        {self.split}',
                 f"categories   {len(names) - len(foreign)} of PartImageNet's {len(CATEGORY_NAMES)}"]
        if foreign:
            examples = ', '.join(foreign[:3]) + (', ...' if len(foreign) > 3 else '')
            notes[-1] += f'; {len(foreign)} others ({examples})'
        if unknown:
            notes.append(f'classes      {unknown:,} images whose file name does not begin with one of the 158 synsets')
        mismatches = sum(
            names[annotation.category_id].super_category != owner for image in document.images
            if (owner := self.image_super_category(image)) is not None for annotation in image.annotations)
        if mismatches:
            notes.append(f"classes      {mismatches:,} parts are of another super-category than their image's class: "
                         'no class name')
        return notes
