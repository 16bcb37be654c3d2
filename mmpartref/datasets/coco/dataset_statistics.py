"""What became of a json's photos and annotations."""
from dataclasses import dataclass, field


@dataclass
class PartStatistics:
    """Counts over a whole ``ann_file``; nothing that is left out or mended goes uncounted.

    ``annotations_in_json == parts_kept + crowd_left_out + zero_area_left_out + no_ring_left_out + protocol_left_out``.

    Attributes:
        photos_in_json: entries of ``images``.
        photos_with_parts: those with at least one part kept; the others yield no item.
        annotations_in_json: entries of ``annotations``.
        parts_kept: annotations that became (part of) a mask.
        crowd_left_out: annotations with ``iscrowd``.
        zero_area_left_out: annotations whose mask covers no pixel or whose ``area`` is 0.
        no_ring_left_out: annotations whose polygon has no ring of at least three points.
        protocol_left_out: annotations that a protocol hides.
        protocol_photos_left_out: photos that had parts, all of which a protocol hides.
        short_rings_discarded: polygon rings of fewer than three points, of dropped annotations and of kept ones.
        backslash_file_names: file names in which '\\' became '/'.
        expressions: referring expressions, one per ref (not times the templates).
        absent_expressions: those of parts that are not there, where they are asked for; beside ``expressions``.
        items: length of the data set before ``indices``.
        notes: sentences of the data set at hand.
    """
    photos_in_json: int = 0
    photos_with_parts: int = 0
    annotations_in_json: int = 0
    parts_kept: int = 0
    crowd_left_out: int = 0
    zero_area_left_out: int = 0
    no_ring_left_out: int = 0
    protocol_left_out: int = 0
    protocol_photos_left_out: int = 0
    short_rings_discarded: int = 0
    backslash_file_names: int = 0
    expressions: int = 0
    absent_expressions: int = 0
    items: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def photos_without_parts(self) -> int:
        """Photos that yield no item."""
        return self.photos_in_json - self.photos_with_parts

    def in_short(self) -> str:
        """Return what became of the annotations, within a sentence."""
        return (f'of {self.annotations_in_json:,} annotations on {self.photos_in_json:,} photos {self.parts_kept:,} '
                f'were kept; left out: {self.crowd_left_out:,} crowd, {self.zero_area_left_out:,} of zero area, '
                f'{self.no_ring_left_out:,} without a ring of 3 points, {self.protocol_left_out:,} by the protocol')

    def summary(self) -> str:
        """Return the counts as a few lines of text."""
        lines = [
            f'  photos       {self.photos_in_json:,} in the json, {self.photos_with_parts:,} with parts, '
            f'{self.photos_without_parts:,} without (left out)',
            f'  parts        {self.annotations_in_json:,} annotations in the json, {self.parts_kept:,} kept; left out: '
            f'{self.crowd_left_out:,} crowd, {self.zero_area_left_out:,} of zero area, '
            f'{self.no_ring_left_out:,} without a ring of 3 points',
            f'  mended       {self.short_rings_discarded:,} polygon rings of fewer than 3 points discarded, '
            f'{self.backslash_file_names:,} file names with backslashes',
            f'  expressions  {self.expressions:,} in {self.items:,} items',
        ]
        return '\n'.join(lines + [f'  {note}' for note in self.notes])
