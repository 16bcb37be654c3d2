"""PartImageNet's OOD split: three json files whose classes are disjoint.

Which class is in which of them is said by the json files alone; no list is kept here.
"""
from collections.abc import Iterable, Mapping

from mmengine import fileio

from mmpartref.datasets.coco.read_coco import CocoParts, read_json
from mmpartref.datasets.coco.records import PartName
from mmpartref.datasets.partimagenet.partimagenet_names import load_synsets
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import OOD_CLASSES, SEG_CLASSES, wnid
from mmpartref.datasets.protocols.protocol import Protocol
from mmpartref.datasets.protocols.split_file import PartSplit
from mmpartref.errors import InputError

OOD = 'partimagenet_ood'


def classes_of(file_names: Iterable[str], ann_file: str) -> frozenset[str]:
    """Return the synsets that photos are named after.

    Raises:
        ValueError: a photo is named after none of the 158.
    """
    found = {wnid(name.replace('\\', '/')): name for name in file_names}
    unknown = sorted(found.keys() - load_synsets().keys())
    if unknown:
        raise InputError(f"{ann_file}: photo {found[unknown[0]]} is named after none of PartImageNet's 158 synsets, so "
                         f'its class is unknown; {OOD} needs the names <synset>_<id>.JPEG')
    return frozenset(found)


def read_classes(ann_file: str) -> frozenset[str]:
    """Return the synsets of a json's photos.

    Raises:
        FileNotFoundError, ValueError: it cannot be read, or see ``classes_of``.
    """
    names = [record.get('file_name') if isinstance(record, dict) else None for record in read_json(ann_file)['images']]
    strange = next((index for index, name in enumerate(names) if not isinstance(name, str)), None)
    if strange is not None:
        raise InputError(f"{ann_file}: images[{strange}]: 'file_name' is missing or no string; add it")
    return classes_of((str(name) for name in names), ann_file)


def check_number(split: str, classes: frozenset[str], ann_file: str) -> None:
    """Refuse a json that does not show as many classes as the OOD split's.

    Raises:
        ValueError: it is the Seg split's, or shows another number of classes.
    """
    if len(classes) == SEG_CLASSES:
        raise InputError(f"{ann_file} is of PartImageNet's Seg split: it shows all {SEG_CLASSES} classes, so none is "
                         f'unseen; {OOD} needs the json files of the OOD split, which has the same name elsewhere')
    if len(classes) != OOD_CLASSES[split]:
        raise InputError(f"{ann_file} shows {len(classes)} classes, the OOD split's {split} json {OOD_CLASSES[split]}; "
                         'take it as published')


class OodProtocol:
    """Makes sure that the three json files are those of the OOD split, before one of them is used.

    Args:
        ann_files: ``dict(train=..., val=..., test=...)``, each relative to the data set's ``data_root``.

    Raises:
        ValueError: one of the three is not named.
    """

    def __init__(self, ann_files: Mapping[str, str]) -> None:
        if ann_files.keys() != OOD_CLASSES.keys():
            raise InputError(f'protocol {OOD} has ann_files={dict(ann_files)!r}; name the json of '
                             f"{', '.join(OOD_CLASSES)}")
        self.ann_files = dict(ann_files)
        self.role = ''

    @property
    def identity(self) -> dict[str, str]:
        """What a checkpoint remembers of it; the role is the split, known once it was applied."""
        return {'name': OOD, 'fold': '', 'role': self.role}

    def apply(self, parts: CocoParts, names: Mapping[int, PartName], ann_file: str, data_root: str) -> None:
        """Check the number of classes of all three json files and that they share none; nothing is left out.

        Args:
            parts: the json at hand.
            names: not needed.
            ann_file: its path, one of ``ann_files``.
            data_root: of ``ann_files``.

        Raises:
            FileNotFoundError: a json is missing.
            ValueError: they are not those of the OOD split.
        """
        del names
        paths = {split: fileio.join_path(data_root, path) for split, path in self.ann_files.items()}
        own = next((split for split, path in paths.items() if path == ann_file), None)
        if own is None:
            raise InputError(f"{ann_file} is none of the ann_files of protocol {OOD} ({', '.join(paths.values())}); "
                             'name the same files')
        self.role = own
        classes = {}
        for split, path in paths.items():
            classes[split] = (classes_of((photo.file_name for photo in parts.photos), path) if split == own
                              else read_classes(path))
            check_number(split, classes[split], path)
        for one, two in (('train', 'val'), ('train', 'test'), ('val', 'test')):
            shared = sorted(classes[one] & classes[two])
            if shared:
                raise InputError(f'{paths[one]} and {paths[two]} share {len(shared)} classes ({shared[0]}), those of '
                                 'the OOD split none; take them as published')
        others = ' and '.join(f'{split} ({len(each)})' for split, each in classes.items() if split != own)
        trained = {load_synsets()[each].super_category for each in classes['train']}
        new = sorted({load_synsets()[each].super_category for each in classes[own]} - trained)
        parts.statistics.notes.append(
            f'protocol     {OOD}: {own}, {len(classes[own])} classes, none of them in {others}'
            + (f"; super-categories without a class in train: {', '.join(new)}" if new else ''))


def ood_protocol(train_json: str) -> Protocol:
    """Return what tells seen classes, those of the OOD split's train json, from unseen ones, all others.

    Raises:
        FileNotFoundError, ValueError: see ``read_classes`` and ``check_number``.
    """
    seen = read_classes(train_json)
    check_number('train', seen, train_json)
    return Protocol(PartSplit(OOD, '', 'class', seen, frozenset(load_synsets()) - seen))
