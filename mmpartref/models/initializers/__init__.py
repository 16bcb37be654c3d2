from mmpartref.models.initializers.clip_pretrained_init import CLIPPretrainedInit
from mmpartref.models.initializers.package_pretrained_init import PackagePretrainedInit
from mmpartref.models.initializers.pretrained_init import PretrainedInit

__all__ = ['CLIPPretrainedInit', 'PackagePretrainedInit', 'PretrainedInit']
