"""Entry step that hides one side of a protocol from a dataset."""
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

from mmpartref.argument_checks import check_choice
from mmpartref.datasets.coco.dataset_statistics import PartStatistics
from mmpartref.datasets.coco.records import Image, PartName
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.partimagenet.partimagenet_names import canonical_name
from mmpartref.datasets.protocols.split_file import Protocol
from mmpartref.datasets.referring.names import Names
from mmpartref.datasets.referring.steps.entry_step import EntryStep
from mmpartref.errors import InputError

Role = Literal['seen', 'unseen', 'all']
ROLES: tuple[str, ...] = get_args(Role)
# Names of a list in a message.
MAX_NAMES = 3


class ProtocolStep(EntryStep):
    """Entry step that hides the annotations of one side of a protocol.

    Args:
        protocol: divides expressions into seen and unseen.
        role: ``'seen'`` or ``'unseen'`` drops the annotations of the other side, and of a protocol of classes those
            images; ``'all'`` drops only those on neither side.

    Raises:
        InputError: the role is unknown.
    """

    def __init__(self, protocol: Protocol, role: Role) -> None:
        check_choice(role, f'protocol {protocol.title}: role', ROLES)
        self.protocol = protocol
        self.role = role

    def metainfo(self) -> dict[str, Any]:
        """Return what checkpoints store as ``protocol``: name, fold and role."""
        return {'protocol': {'name': self.protocol.name, 'fold': self.protocol.fold, 'role': self.role}}

    def prepare(self, document: CocoParts, names: Names) -> None:
        """Drop the annotations of the other side; counted and noted in the statistics.

        Raises:
            InputError: the split lacks a category of the json, or the json lacks a whole side of the split.
        """
        by_category = self.protocol.unit == 'category'
        missing = self.check_categories(names.categories, document.ann_file) if by_category else []
        counts = document.statistics
        document.images[:] = [self.filter_image(image, names, counts) for image in document.images]
        counts.notes.append(
            f'protocol     {self.protocol.title}, role {self.role}: {counts.protocol_dropped:,} annotations dropped, '
            f'{counts.protocol_images_dropped:,} images have no other and give no item')
        if missing:
            counts.notes.append(f'protocol     {len(missing)} of its categories are not in the json '
                                f'({shorten(missing)})')

    def check_categories(self, names: Mapping[int, PartName], ann_file: str) -> list[str]:
        """Return the split's categories that the json lacks; see ``prepare`` for errors."""
        protocol = self.protocol
        here = {canonical_name(*name) for name in names.values()}
        unknown = [' '.join(name).strip() for name in sorted(here) if protocol.side_of_entry(name) is None]
        if unknown:
            raise InputError(f'{ann_file}: {len(unknown)} categories are neither seen nor unseen in protocol '
                             f'{protocol.title} ({shorten(unknown)}); use the json it was made for, or write your own '
                             'split file')
        for side, entries in (('seen', protocol.seen), ('unseen', protocol.unseen)):
            if here.isdisjoint(entries):
                raise InputError(f'{ann_file} has none of the {len(entries)} {side} categories of protocol '
                                 f'{protocol.title}; use the json it was made for')
        return [' '.join(name).strip() for name in sorted((protocol.seen | protocol.unseen) - here)]

    def filter_image(self, image: Image, names: Names, counts: PartStatistics) -> Image:
        """Return an image with only the annotations of the role."""
        used = []
        # Hidden parts are visible in the image, so no step may call them absent.
        hidden = set()
        for annotation in image.annotations:
            side = self.protocol.side_of(*names[annotation.category_id], image.file_name)
            if side is not None and self.role in (side, 'all'):
                used.append(annotation)
            else:
                hidden.add(annotation.category_id)
        dropped = len(image.annotations) - len(used)
        counts.protocol_dropped += dropped
        counts.parts_used -= dropped
        if image.annotations and not used:
            counts.protocol_images_dropped += 1
            counts.images_with_parts -= 1
        return replace(image, annotations=tuple(used), dropped=image.dropped | hidden)


def shorten(names: list[str]) -> str:
    """Return names joined by commas, after ``MAX_NAMES`` of them '...'."""
    return ', '.join(names[:MAX_NAMES]) + (', ...' if len(names) > MAX_NAMES else '')


def describe_identity(identity: Mapping[str, Any]) -> str:
    """Return the ``protocol`` of a dataset's metainfo in words."""
    fold = f", fold {identity['fold']}" if identity['fold'] else ''
    return f"{identity['name']}{fold}, role {identity['role']}"
