from mmpartref.models.losses.text_to_pixel_contrastive_loss import TextToPixelContrastiveLoss

__all__ = ['TextToPixelContrastiveLoss']
