"""Part-level referring segmentation for OpenMMLab."""
from importlib.util import find_spec

from mmpartref.version import __version__

if find_spec('mmengine') is None:
    raise ImportError("mmpartref needs mmengine, which is not installed: install mmpartref with its extra 'cris' (CRIS "
                      "alone) or 'all' (with Mask R-CNN), for example pip install -e '.[cris]' in the checkout")

from mmengine.config.utils import MODULE2PACKAGE

# For `_base_ = 'mmpartref::...'` and mmengine.hub; mmengine has no function that adds a package.
MODULE2PACKAGE.setdefault('mmpartref', 'mmpartref')

__all__ = ['__version__']
