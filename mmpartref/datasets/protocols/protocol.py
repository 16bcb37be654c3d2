"""What a protocol says of an expression, and what it leaves of a data set."""
from collections.abc import Mapping
from typing import Any, Literal, get_args

from mmpartref.datasets.coco.dataset_statistics import PartStatistics
from mmpartref.datasets.coco.read_coco import CocoParts
from mmpartref.datasets.coco.records import Part, PartName, Photo
from mmpartref.datasets.partimagenet.partimagenet_referring_dataset import wnid
from mmpartref.datasets.protocols.split_file import PartSplit, spoken
from mmpartref.errors import InputError

Role = Literal['seen', 'unseen', 'all']
ROLES: tuple[str, ...] = get_args(Role)
# Names that are shown of a long list.
SHOWN = 3


class Protocol:
    """Tells seen from unseen.

    Args:
        split: what is seen and what is not.
    """

    def __init__(self, split: PartSplit) -> None:
        self.split = split

    @property
    def title(self) -> str:
        """The protocol with its fold, as it is printed."""
        return self.split.title

    def entry_of(self, super_category: str, part: str, img_path: str) -> PartName | str:
        """Return what of the split an expression falls under: its category, or the class in its photo's name."""
        if self.split.unit == 'category':
            return spoken(super_category, part)
        return wnid(img_path.replace('\\', '/'))

    def side_of(self, super_category: str, part: str, img_path: str) -> str | None:
        """Return 'seen' or 'unseen', or None where the photo's class takes no part in the protocol.

        Raises:
            ValueError: the category is in neither side. Only classes may be.
        """
        side = self.split.side_of(self.entry_of(super_category, part, img_path))
        if side is None and self.split.unit == 'category':
            raise InputError(f'the part {f"{super_category} {part}".strip()!r} is neither seen nor unseen in protocol '
                             f'{self.title}; take the data it was made for, or write a split file of your own')
        return side


class DataProtocol:
    """Leaves a data set what one side of a protocol may show it.

    Args:
        protocol: tells seen from unseen.
        role: ``'seen'`` or ``'unseen'`` leaves the other side's annotations out, of a protocol of classes with their
            photos; ``'all'`` leaves out only what is on neither side.

    Raises:
        ValueError: there is no such role.
    """

    def __init__(self, protocol: Protocol, role: Role) -> None:
        if role not in ROLES:
            raise InputError(f"the role {role!r} of protocol {protocol.title} is unknown; choose one of "
                             f"{', '.join(ROLES)}")
        self.protocol = protocol
        self.role = role

    @property
    def identity(self) -> dict[str, str]:
        """What a checkpoint remembers of it."""
        return {'name': self.protocol.split.name, 'fold': self.protocol.split.fold, 'role': self.role}

    def apply(self, parts: CocoParts, names: Mapping[int, PartName], ann_file: str, data_root: str) -> None:
        """Leave out, in place, what is not the role's; counts it and notes it in the statistics.

        Args:
            parts: the json.
            names: what its categories mean, by id.
            ann_file: the json's path, as complaints show it.
            data_root: not needed.

        Raises:
            ValueError: categories of json and split do not go together.
        """
        del data_root
        missing = self.check_categories(names, ann_file) if self.protocol.split.unit == 'category' else []
        for photo in parts.photos:
            self.filter_photo(photo, names, parts.statistics)
        counts = parts.statistics
        counts.notes.append(
            f'protocol     {self.protocol.title}, role {self.role}: {counts.protocol_left_out:,} annotations left out, '
            f'{counts.protocol_photos_left_out:,} photos have no other and yield no item')
        if missing:
            counts.notes.append(f'protocol     {len(missing)} of its categories are not in the json '
                                f'({shorten(missing)})')

    def check_categories(self, names: Mapping[int, PartName], ann_file: str) -> list[str]:
        """Return the split's categories that the json lacks.

        Raises:
            ValueError: the split lacks one of the json's, or the json lacks a whole side of the split.
        """
        split = self.protocol.split
        here = {spoken(*name) for name in names.values()}
        unknown = [' '.join(name).strip() for name in sorted(here) if split.side_of(name) is None]
        if unknown:
            raise InputError(f'{ann_file}: {len(unknown)} categories are neither seen nor unseen in protocol '
                             f'{split.title} ({shorten(unknown)}); take the json it was made for, or write a split '
                             'file of your own')
        for side, entries in (('seen', split.seen), ('unseen', split.unseen)):
            if here.isdisjoint(entries):
                raise InputError(f'{ann_file} has none of the {len(entries)} {side} categories of protocol '
                                 f'{split.title}; take the json it was made for')
        return [' '.join(name).strip() for name in sorted((split.seen | split.unseen) - here)]

    def filter_photo(self, photo: Photo, names: Mapping[int, PartName], counts: PartStatistics) -> None:
        """Leave out a photo's parts that are not the role's."""
        kept: list[Part] = []
        for part in photo.parts:
            side = self.protocol.side_of(*names[part.category_id], photo.file_name)
            if side is not None and self.role in (side, 'all'):
                kept.append(part)
            else:
                # It is there all the same: nobody may be told that it is absent.
                photo.left_out.add(part.category_id)
        left_out = len(photo.parts) - len(kept)
        counts.protocol_left_out += left_out
        counts.parts_kept -= left_out
        if photo.parts and not kept:
            counts.protocol_photos_left_out += 1
            counts.photos_with_parts -= 1
        photo.parts[:] = kept


def shorten(names: list[str]) -> str:
    """Return the first names of a list."""
    return ', '.join(names[:SHOWN]) + (', ...' if len(names) > SHOWN else '')


def describe_identity(identity: Mapping[str, Any]) -> str:
    """Return a ``DataProtocol.identity`` in words."""
    fold = f", fold {identity['fold']}" if identity['fold'] else ''
    return f"{identity['name']}{fold}, role {identity['role']}"
