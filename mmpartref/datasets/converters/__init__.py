"""From the files of published referring and part data sets to the json that ``PartReferDataset`` reads."""
from .grefcoco import convert_grefcoco
from .paco import convert_paco
from .pascal_part import convert_pascal_part
from .refcoco import convert_refcoco

__all__ = ['convert_grefcoco', 'convert_paco', 'convert_pascal_part', 'convert_refcoco']
