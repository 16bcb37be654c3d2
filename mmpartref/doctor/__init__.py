"""Validate a tree of images and part annotations, and repair it."""
from mmpartref.datasets.coco.check_masks import Limits
from mmpartref.datasets.coco.finding_codes import CODES
from mmpartref.datasets.coco.findings import Finding
from mmpartref.doctor.examination import Report, examine

__all__ = ['CODES', 'Finding', 'Limits', 'Report', 'examine']
