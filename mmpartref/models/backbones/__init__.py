from mmpartref.models.backbones.clip_resnet import CLIPResNet
from mmpartref.models.backbones.clip_vision_transformer import CLIPVisionTransformer

__all__ = ['CLIPResNet', 'CLIPVisionTransformer']
