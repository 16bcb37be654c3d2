from mmpartref.models.initializers.clip_pretrained_init import CLIPPretrainedInit
from mmpartref.models.initializers.pretrained_init import PretrainedInit

__all__ = ['CLIPPretrainedInit', 'PretrainedInit']
