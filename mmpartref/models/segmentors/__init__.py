from mmpartref.models.segmentors.referring_segmentor import ReferringSegmentor

__all__ = ['ReferringSegmentor']
