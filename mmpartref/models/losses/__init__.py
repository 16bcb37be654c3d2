from mmpartref.models.losses.asymmetric_loss import AsymmetricLoss
from mmpartref.models.losses.focal_loss import FocalLoss
from mmpartref.models.losses.text_to_pixel_contrastive_loss import TextToPixelContrastiveLoss
from mmpartref.models.losses.tversky_loss import TverskyLoss

__all__ = ['AsymmetricLoss', 'FocalLoss', 'TextToPixelContrastiveLoss', 'TverskyLoss']
