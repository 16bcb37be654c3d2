"""Counts of the images and annotations of a json."""
from dataclasses import dataclass, field


@dataclass
class PartStatistics:
    """Counts over a whole ``ann_file``; everything that is dropped or repaired is counted.

    ``annotations_in_json == parts_used + crowd_dropped + empty_mask_dropped + no_ring_dropped + protocol_dropped``.

    Attributes:
        images_in_json: entries of ``images``.
        images_with_parts: those with at least one part; the others give no item.
        annotations_in_json: entries of ``annotations``.
        parts_used: annotations that became (part of) a mask.
        crowd_dropped: annotations with ``iscrowd``.
        empty_mask_dropped: annotations whose mask covers no pixel.
        no_ring_dropped: annotations whose polygon has no ring of at least three points.
        protocol_dropped: annotations that a protocol hides.
        protocol_images_dropped: images that had parts, all of which a protocol hides.
        short_rings_dropped: polygon rings of fewer than three points.
        refs_dropped: records of ``referring`` all of whose annotations were dropped.
        backslash_file_names: file names in which '\\' became '/'.
        expressions: referring expressions, one per ref (not times the templates).
        absent_expressions: those of absent parts, not counted in ``expressions``.
        items: length of the dataset before ``indices``.
        notes: further lines of the summary.
    """
    images_in_json: int = 0
    images_with_parts: int = 0
    annotations_in_json: int = 0
    parts_used: int = 0
    crowd_dropped: int = 0
    empty_mask_dropped: int = 0
    no_ring_dropped: int = 0
    protocol_dropped: int = 0
    protocol_images_dropped: int = 0
    short_rings_dropped: int = 0
    refs_dropped: int = 0
    backslash_file_names: int = 0
    expressions: int = 0
    absent_expressions: int = 0
    items: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def images_without_parts(self) -> int:
        """Images that give no item."""
        return self.images_in_json - self.images_with_parts

    def _drops(self) -> str:
        return (f'{self.crowd_dropped:,} crowd, {self.empty_mask_dropped:,} with an empty mask, '
                f'{self.no_ring_dropped:,} without a ring of 3 points')

    def in_short(self) -> str:
        """Return the counts of annotations for use within a sentence."""
        return (f'of {self.annotations_in_json:,} annotations of {self.images_in_json:,} images {self.parts_used:,} '
                f'are used; dropped: {self._drops()}, {self.protocol_dropped:,} by the protocol')

    def summary(self) -> str:
        """Return the counts as a few lines of text."""
        lines = [
            f'  images       {self.images_in_json:,} in the json, {self.images_with_parts:,} with parts, '
            f'{self.images_without_parts:,} without (dropped)',
            f'  parts        {self.annotations_in_json:,} annotations in the json, {self.parts_used:,} used; dropped: '
            f'{self._drops()}',
            f'  repaired     {self.short_rings_dropped:,} polygon rings of fewer than 3 points dropped, '
            f'{self.backslash_file_names:,} file names with backslashes',
            f'  expressions  {self.expressions:,} in {self.items:,} items',
        ]
        return '\n'.join(lines + [f'  {note}' for note in self.notes])
