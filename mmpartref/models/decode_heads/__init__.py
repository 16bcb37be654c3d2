from mmpartref.models.decode_heads.vision_language_decode_head import VisionLanguageDecodeHead

__all__ = ['VisionLanguageDecodeHead']
