from mmpartref.models.text_encoders.clip_text_encoder import CLIPTextEncoder
from mmpartref.models.text_encoders.open_clip_text_encoder import OpenCLIPTextEncoder
from mmpartref.models.text_encoders.siglip_text_encoder import SiglipTextEncoder

__all__ = ['CLIPTextEncoder', 'OpenCLIPTextEncoder', 'SiglipTextEncoder']
