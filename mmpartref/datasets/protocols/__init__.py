"""Zero-shot and transfer protocols: which expressions are seen in training, and which are unseen until evaluation.

The split files in this folder are frozen: no version changes them, and a test draws them again. ``docs/protocols.md``
defines each.
"""
from mmpartref.datasets.protocols.build_protocol import OOD, build_protocol_step, load_protocol
from mmpartref.datasets.protocols.protocol_step import ProtocolStep
from mmpartref.datasets.protocols.split_file import SPLIT_FILES, Protocol, read_split

__all__ = ['OOD', 'SPLIT_FILES', 'Protocol', 'ProtocolStep', 'build_protocol_step', 'load_protocol', 'read_split']
