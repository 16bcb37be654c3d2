"""Finding out whether a tree of photos and part annotations is sound, and mending what can be mended."""
from mmpartref.datasets.coco.check_masks import Limits
from mmpartref.datasets.coco.finding_codes import CODES
from mmpartref.datasets.coco.findings import Finding
from mmpartref.doctor.examination import Examination, examine

__all__ = ['CODES', 'Examination', 'Finding', 'Limits', 'examine']
