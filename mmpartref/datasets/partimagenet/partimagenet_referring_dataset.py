"""PartImageNet as a referring data set."""
from collections import Counter
from collections.abc import Callable, Mapping

from mmengine import fileio

from mmpartref.datasets.coco.read_coco import CocoParts
from mmpartref.datasets.coco.records import Category, PartName, Photo, plain
from mmpartref.datasets.partimagenet.partimagenet_names import (
    CATEGORY_NAMES,
    PART_ALIASES,
    PARTS,
    UNLISTED_PARTS,
    Synset,
    load_synsets,
)
from mmpartref.datasets.referring.expressions import split_category
from mmpartref.datasets.referring.part_refer_dataset import PartReferDataset
from mmpartref.registry import DATASETS

# Photos of each split as published; the Seg split shows all 158 classes in each, the OOD split's are disjoint.
SEG_CLASSES = 158
SEG_PHOTOS = {'train': 20481, 'val': 1206, 'test': 2408}
OOD_CLASSES = {'train': 109, 'val': 19, 'test': 30}
OOD_PHOTOS = {'train': 16540, 'val': 2957, 'test': 4598}


def partimagenet_names() -> dict[str, PartName]:
    """Return what the 40 categories mean, by plain name; an aliased part is found under both spellings."""
    names = {}
    for owner, parts in PARTS.items():
        for part in parts:
            spoken = PART_ALIASES.get(plain(part), plain(part))
            for spelling in (plain(part), spoken):
                names[f'{plain(owner)} {spelling}'] = PartName(plain(owner), spoken)
    return names


def wnid(file_name: str) -> str:
    """Return "n02085782" of "n02085782/n02085782_1234.JPEG"."""
    return bare(file_name).split('_')[0]


def bare(file_name: str) -> str:
    """Return a file name without its folders."""
    return file_name.rsplit('/', 1)[-1]


def detect_split(num_classes: int, num_photos: int) -> str:
    """Say which of PartImageNet's two splits a json is, from its classes and photos.

    The classes decide; where they fit neither, the published number of photos does.

    Returns:
        A sentence that begins with 'Seg', 'OOD' or 'neither'.
    """
    seg = [split for split, photos in SEG_PHOTOS.items() if photos == num_photos]
    ood = [split for split, classes in OOD_CLASSES.items() if classes == num_classes]
    ood += [split for split, photos in OOD_PHOTOS.items() if photos == num_photos and split not in ood]
    found = f'{num_classes} classes, {num_photos:,} photos'
    if num_classes == SEG_CLASSES or (seg and not ood):
        return f'Seg {seg[0]}: {found}' if seg else f'Seg: {found}, which is none of its published splits'
    if ood:
        published = f'{OOD_CLASSES[ood[0]]} classes, {OOD_PHOTOS[ood[0]]:,} photos'
        return f'OOD {ood[0]}: {found}' + ('' if found == published else f'; published: {published}')
    return f'neither: {found}'


@DATASETS.register_module()
class PartImageNetReferringDataset(PartReferDataset):
    """PartImageNet (He et al., ECCV 2022), its Seg or its OOD split, told apart from the json itself.

    What it knows beyond ``PartReferDataset``, whose arguments it takes:

    - the 40 category names, whatever the json's ids and super-categories say; the data set's "tier" is a tire. Other
      names are read by the general rule, and the summary counts them;
    - the ImageNet synset before the first '_' of a photo's file name, hence ``{class_name}``. A part of another
      super-category than its photo's class has gets no class name;
    - the official layouts: ``<img>/<synset>_<id>.JPEG`` and ``<img>/<synset>/<synset>_<id>.JPEG`` (the OOD json leaves
      the folder out). Where the first photo lies decides for all.

    ``split`` says which split it is, and so does the summary.
    """

    _names = partimagenet_names()
    split: str = 'not loaded'

    @staticmethod
    def synset(file_name: str) -> Synset | None:
        """Return the class of a photo, or None where its name does not begin with one of the 158 synsets."""
        return load_synsets().get(wnid(file_name))

    def name_category(self, category: Category) -> PartName:
        """Look the category's name up among the 40, or take it apart."""
        known = self._names.get(plain(category.name))
        if known is not None:
            return known
        name = split_category(category.name, category.super_category, category.part)
        # "Head" of the super-category "Fish" is as good as "Fish Head".
        return self._names.get(' '.join(name), name)

    def class_name(self, photo: Photo, name: PartName) -> str | None:
        """Return the photo's ImageNet class where it is of the part's super-category."""
        synset = self.synset(photo.file_name)
        if synset is None or plain(synset.super_category) != name.super_category:
            return None
        return plain(synset.class_name)

    def photo_super_category(self, photo: Photo) -> str | None:
        """Return the super-category of the photo's ImageNet class."""
        synset = self.synset(photo.file_name)
        return None if synset is None else plain(synset.super_category)

    def possible_parts(self) -> list[tuple[str, str]]:
        """Return what the 11 super-categories have beside the 40 categories."""
        return [(plain(owner), part) for owner, parts in UNLISTED_PARTS.items() for part in parts]

    def photo_resolver(self, parts: CocoParts) -> Callable[[str], str]:
        """Look for the first photo where the json says, in its class folder, and without any folder.

        Where it is nowhere, the photos are expected where the json says, and the summary tells.
        """
        folder = self.data_prefix['img'] or '.'
        layouts: dict[str, Callable[[str], str]] = {
            'as the json says': str,
            'in class folders': lambda name: f'{wnid(name)}/{bare(name)}',
            'without folders': bare,
        }
        if parts.photos:
            first = parts.photos[0].file_name
            for layout, resolve in layouts.items():
                if fileio.exists(fileio.join_path(folder, resolve(first))):
                    parts.statistics.notes.append(f'layout       photos {layout}, below {folder}')
                    return resolve
            parts.statistics.notes.append(f'layout       the first photo, {first}, is not below {folder}, with or '
                                          'without a class folder: set data_root and data_prefix')
        return str

    def describe(self, parts: CocoParts, names: Mapping[int, PartName]) -> list[str]:
        """Tell the split, and what is not PartImageNet's own; sets ``split``."""
        classes = Counter(self.synset(photo.file_name) for photo in parts.photos)
        unknown = classes.pop(None, 0)
        self.split = detect_split(len(classes), len(parts.photos))
        known = set(self._names.values())
        foreign = [parts.categories[key].name for key, name in names.items() if name not in known]
        named = len(names) - len(foreign)
        notes = [f'split        {self.split}', f"categories   {named} of PartImageNet's {len(CATEGORY_NAMES)}"]
        if foreign:
            shown = ', '.join(foreign[:3]) + (', ...' if len(foreign) > 3 else '')
            notes[-1] += f"; {len(foreign)} others, read by the general rule ({shown})"
        if unknown:
            notes.append(f'classes      {unknown:,} photos whose file name begins with none of the 158 synsets')
        elsewhere = self._count_elsewhere(parts, names)
        if elsewhere:
            notes.append(f"classes      {elsewhere:,} parts are of another super-category than their photo's class: no "
                         'class name')
        return notes

    def _count_elsewhere(self, parts: CocoParts, names: Mapping[int, PartName]) -> int:
        count = 0
        for photo in parts.photos:
            synset = self.synset(photo.file_name)
            if synset is not None:
                owner = plain(synset.super_category)
                count += sum(names[part.category_id].super_category != owner for part in photo.parts)
        return count
