from mmpartref.apis.inferencer import PartReferInferencer
from mmpartref.apis.part_labels import PartLabels
from mmpartref.apis.results import ImageResults, PartResult
from mmpartref.images.read_image import DecodedImage, ImageReader

__all__ = ['DecodedImage', 'ImageReader', 'ImageResults', 'PartLabels', 'PartReferInferencer', 'PartResult']
