from mmpartref.models.backbones.clip_resnet import CLIPResNet

__all__ = ['CLIPResNet']
