"""Protocol of PartImageNet's OOD split: three json files whose classes are disjoint."""
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine import fileio

from mmpartref.argument_checks import check_path
from mmpartref.datasets.coco.coco_document import read_json
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.partimagenet.partimagenet_names import load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import OOD_CLASSES, SEG_CLASSES, wnid
from mmpartref.datasets.protocols.split_file import Protocol
from mmpartref.datasets.referring.names import Names
from mmpartref.datasets.referring.steps.entry_step import EntryStep
from mmpartref.errors import InputError
from mmpartref.text import shown

OOD = 'partimagenet_ood'


def classes_of(file_names: Iterable[str], ann_file: str) -> frozenset[str]:
    """Return the synsets in the file names of images.

    Raises:
        InputError: a file name does not begin with one of the 158.
    """
    found = {wnid(name.replace('\\', '/')): name for name in file_names}
    unknown = sorted(found.keys() - load_synsets().keys())
    if unknown:
        raise InputError(f"{ann_file}: the name of image {found[unknown[0]]} does not begin with one of "
                         f"PartImageNet's 158 synsets, so its class is unknown; {OOD} needs names like "
                         '<synset>_<id>.JPEG')
    return frozenset(found)


def read_classes(ann_file: str) -> frozenset[str]:
    """Return the synsets of a json's images.

    Raises:
        MissingFileError, InputError: it cannot be read, or see ``classes_of``.
    """
    names = []
    for index, record in enumerate(read_json(ann_file)['images']):
        if not isinstance(record, dict) or not isinstance(record.get('file_name'), str):
            raise InputError(f"{ann_file}: images[{index}]: 'file_name' is missing or not a string; add it")
        names.append(record['file_name'])
    return classes_of(names, ann_file)


def check_number(split: str, classes: frozenset[str], ann_file: str) -> None:
    """Raise an ``InputError`` if a json does not have as many classes as the OOD split's."""
    if len(classes) == SEG_CLASSES:
        raise InputError(f"{ann_file} is of PartImageNet's Seg split: it has all {SEG_CLASSES} classes, so none is "
                         f'unseen; {OOD} needs the json files of the OOD split, which has the same name elsewhere')
    if len(classes) != OOD_CLASSES[split]:
        raise InputError(f"{ann_file} has {len(classes)} classes, the OOD split's {split} json has "
                         f'{OOD_CLASSES[split]}; use it as published')


class OodProtocolStep(EntryStep):
    """Entry step that checks that three json files are those of the OOD split; nothing is dropped.

    Args:
        ann_files: ``dict(train=..., val=..., test=...)``, each relative to the dataset's ``data_root``.

    Raises:
        InputTypeError: a path is of another type.
        InputError: one of the three is missing.
    """

    def __init__(self, ann_files: Mapping[str, str]) -> None:
        if not isinstance(ann_files, Mapping) or ann_files.keys() != OOD_CLASSES.keys():
            raise InputError(f"protocol {OOD} has ann_files={shown(ann_files)}; name the json of "
                             f"{', '.join(OOD_CLASSES)}")
        self.ann_files = {split: check_path(path, f'ann_files[{split!r}]') for split, path in ann_files.items()}
        self.role = ''

    def metainfo(self) -> dict[str, Any]:
        """Return what checkpoints store as ``protocol``; the role is the split."""
        return {'protocol': {'name': OOD, 'fold': '', 'role': self.role}}

    def prepare(self, document: CocoParts, names: Names) -> None:
        """Check the number of classes of all three json files, and that no two share a class.

        Raises:
            MissingFileError: a json does not exist.
            InputError: they are not those of the OOD split.
        """
        del names
        ann_file = document.ann_file
        paths = {split: fileio.join_path(document.data_root, path) for split, path in self.ann_files.items()}
        own = next((split for split, path in paths.items() if path == ann_file), None)
        if own is None:
            raise InputError(f"{ann_file} is not one of the ann_files of protocol {OOD} ({', '.join(paths.values())}); "
                             'name the same files')
        self.role = own
        classes = {}
        for split, path in paths.items():
            classes[split] = (classes_of((image.file_name for image in document.images), path) if split == own
                              else read_classes(path))
            check_number(split, classes[split], path)
        for one, two in (('train', 'val'), ('train', 'test'), ('val', 'test')):
            shared = sorted(classes[one] & classes[two])
            if shared:
                raise InputError(f'{paths[one]} and {paths[two]} share {len(shared)} classes ({shared[0]}), those of '
                                 'the OOD split share none; use them as published')
        others = ' and '.join(f'{split} ({len(each)})' for split, each in classes.items() if split != own)
        super_categories = {split: {load_synsets()[each].super_category for each in found}
                            for split, found in classes.items()}
        new = sorted(super_categories[own] - super_categories['train'])
        document.statistics.notes.append(
            f'protocol     {OOD}: {own}, {len(classes[own])} classes, none of them in {others}'
            + (f"; super-categories without a class in train: {', '.join(new)}" if new else ''))


def ood_protocol(train_json: str) -> Protocol:
    """Return the protocol whose seen classes are those of the OOD split's train json, and unseen all others.

    Raises:
        MissingFileError, InputError: see ``read_classes`` and ``check_number``.
    """
    seen = read_classes(train_json)
    check_number('train', seen, train_json)
    return Protocol(OOD, '', 'class', seen, frozenset(load_synsets()) - seen)
