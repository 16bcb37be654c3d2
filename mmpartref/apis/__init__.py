from mmpartref.apis.inferencer import PartReferInferencer
from mmpartref.apis.part_labels import PartLabels
from mmpartref.apis.photo_reading import Photo, PhotoReader
from mmpartref.apis.results import PartResult, PhotoResults

__all__ = ['PartLabels', 'PartReferInferencer', 'PartResult', 'Photo', 'PhotoReader', 'PhotoResults']
