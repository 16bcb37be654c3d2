"""Part-level referring segmentation for OpenMMLab."""
from mmpartref.version import __version__

__all__ = ['__version__']
