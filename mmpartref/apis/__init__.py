from mmpartref.apis.inferencer import PartReferInferencer
from mmpartref.apis.part_labels import PartLabels
from mmpartref.apis.results import PartResult, PhotoResults
from mmpartref.images.read_image import Photo, PhotoReader

__all__ = ['PartLabels', 'PartReferInferencer', 'PartResult', 'Photo', 'PhotoReader', 'PhotoResults']
