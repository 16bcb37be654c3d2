"""Converters of published referring and part datasets to the json that ``PartReferDataset`` reads.

Every converter returns what is written and lines to print, which count what was read, written and dropped and compare
it with the published numbers. It raises a ``MissingFileError`` where a file or folder does not exist, and an
``InputError`` where one is malformed. ``standard_json.write_documents`` validates and writes what it returns.

``benchmarks`` has the converters of sets that are mainly evaluated on, with sentences about parts, ``labelling`` those
of labelling programs, ``published`` the others.
"""
from mmpartref.datasets.converters.benchmarks.gseval import convert_gseval
from mmpartref.datasets.converters.benchmarks.instructpart import convert_instructpart
from mmpartref.datasets.converters.benchmarks.mmr import convert_mmr
from mmpartref.datasets.converters.benchmarks.refcocom import convert_refcocom
from mmpartref.datasets.converters.labelling.cvat import convert_cvat
from mmpartref.datasets.converters.labelling.label_studio import convert_label_studio
from mmpartref.datasets.converters.labelling.labelme import convert_labelme
from mmpartref.datasets.converters.labelling.yolo import convert_yolo
from mmpartref.datasets.converters.published.ade20k_part_234 import convert_ade20k_part_234
from mmpartref.datasets.converters.published.grefcoco import convert_grefcoco
from mmpartref.datasets.converters.published.objects import convert_objects
from mmpartref.datasets.converters.published.paco import convert_paco
from mmpartref.datasets.converters.published.pascal_part import convert_pascal_part
from mmpartref.datasets.converters.published.pascal_part_116 import convert_pascal_part_116
from mmpartref.datasets.converters.published.refcoco import convert_refcoco
from mmpartref.datasets.converters.published.spin import convert_spin

__all__ = ['convert_ade20k_part_234', 'convert_cvat', 'convert_grefcoco', 'convert_gseval', 'convert_instructpart',
           'convert_label_studio', 'convert_labelme', 'convert_mmr',
           'convert_objects', 'convert_paco', 'convert_pascal_part', 'convert_pascal_part_116', 'convert_refcoco',
           'convert_refcocom', 'convert_spin', 'convert_yolo']
