"""Finding out whether a tree of photos and part annotations is sound, and mending what can be mended."""
from .codes import CODES
from .examination import Examination, examine
from .findings import Finding
from .mask_checks import Limits
from .repair import repair

__all__ = ['CODES', 'Examination', 'Finding', 'Limits', 'examine', 'repair']
