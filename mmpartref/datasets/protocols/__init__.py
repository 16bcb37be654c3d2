"""Zero-shot and transfer protocols: what a model is trained on, and what it is then asked that it never saw.

The split files beside this are frozen: they change in no version, and a test draws them again. ``docs/protocols.md``
defines each.
"""
from mmpartref.datasets.protocols.build_protocol import OOD, build_data_protocol, load_protocol
from mmpartref.datasets.protocols.protocol import DataProtocol, Protocol
from mmpartref.datasets.protocols.split_file import SPLIT_FILES, PartSplit, read_split

__all__ = ['OOD', 'SPLIT_FILES', 'DataProtocol', 'PartSplit', 'Protocol', 'build_data_protocol', 'load_protocol',
           'read_split']
