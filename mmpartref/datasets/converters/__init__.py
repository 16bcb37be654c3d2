"""From the files of published referring and part data sets to the json that ``PartReferDataset`` reads."""
from .ade20k_part_234 import convert_ade20k_part_234
from .grefcoco import convert_grefcoco
from .objects import convert_objects
from .paco import convert_paco
from .pascal_part import convert_pascal_part
from .pascal_part_116 import convert_pascal_part_116
from .refcoco import convert_refcoco
from .refcocom import convert_refcocom
from .spin import convert_spin

__all__ = ['convert_ade20k_part_234', 'convert_grefcoco', 'convert_objects', 'convert_paco', 'convert_pascal_part',
           'convert_pascal_part_116', 'convert_refcoco', 'convert_refcocom', 'convert_spin']
