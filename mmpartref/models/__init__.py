"""The models of mmpartref.

Letters of shapes in this package::

    N images              M expressions (rows)      U distinct strings among them
    L tokens of a string  D word width              E sentence width
    C channels            H, W network input        h, w the original image

A batch has N images and M expressions; ``image_index`` (M,) is the image of each expression.
"""
from mmpartref.models.backbones import (
    CLIPResNet,
    CLIPVisionTransformer,
    EfficientNetLite,
    SelectMaps,
    TimmBackbone,
)
from mmpartref.models.clip_model import CLIPModel
from mmpartref.models.data_preprocessor import ReferringDataPreprocessor
from mmpartref.models.decode_heads import MultiLabelPresenceHead, PresenceHead, VisionLanguageDecodeHead
from mmpartref.models.detectors import ReferringDetector
from mmpartref.models.initializers import CLIPPretrainedInit, PackagePretrainedInit, PretrainedInit
from mmpartref.models.losses import AsymmetricLoss, FocalLoss, TextToPixelContrastiveLoss, TverskyLoss
from mmpartref.models.necks import CRISNeck
from mmpartref.models.segmentors import CLIPZeroShotSegmentor, ReferringSegmentor
from mmpartref.models.text_encoders import CLIPTextEncoder, OpenCLIPTextEncoder, SiglipTextEncoder

__all__ = [
    'AsymmetricLoss',
    'CLIPModel',
    'CLIPPretrainedInit',
    'CLIPResNet',
    'CLIPTextEncoder',
    'CLIPVisionTransformer',
    'CLIPZeroShotSegmentor',
    'CRISNeck',
    'EfficientNetLite',
    'FocalLoss',
    'MultiLabelPresenceHead',
    'OpenCLIPTextEncoder',
    'PackagePretrainedInit',
    'PresenceHead',
    'PretrainedInit',
    'ReferringDataPreprocessor',
    'ReferringDetector',
    'ReferringSegmentor',
    'SelectMaps',
    'SiglipTextEncoder',
    'TextToPixelContrastiveLoss',
    'TimmBackbone',
    'TverskyLoss',
    'VisionLanguageDecodeHead',
]
