from mmpartref.models.losses.asymmetric_loss import AsymmetricLoss
from mmpartref.models.losses.text_to_pixel_contrastive_loss import TextToPixelContrastiveLoss

__all__ = ['AsymmetricLoss', 'TextToPixelContrastiveLoss']
