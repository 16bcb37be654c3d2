from mmpartref.models.backbones.clip_resnet import CLIPResNet
from mmpartref.models.backbones.clip_vision_transformer import CLIPVisionTransformer
from mmpartref.models.backbones.efficientnet_lite import EfficientNetLite
from mmpartref.models.backbones.select_maps import SelectMaps
from mmpartref.models.backbones.timm_backbone import TimmBackbone

__all__ = ['CLIPResNet', 'CLIPVisionTransformer', 'EfficientNetLite', 'SelectMaps', 'TimmBackbone']
