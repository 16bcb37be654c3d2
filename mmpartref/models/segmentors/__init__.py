from mmpartref.models.segmentors.clip_zero_shot_segmentor import CLIPZeroShotSegmentor
from mmpartref.models.segmentors.referring_segmentor import ReferringSegmentor

__all__ = ['CLIPZeroShotSegmentor', 'ReferringSegmentor']
