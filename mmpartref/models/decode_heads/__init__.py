from mmpartref.models.decode_heads.multi_label_presence_head import MultiLabelPresenceHead
from mmpartref.models.decode_heads.presence_head import PresenceHead
from mmpartref.models.decode_heads.vision_language_decode_head import VisionLanguageDecodeHead

__all__ = ['MultiLabelPresenceHead', 'PresenceHead', 'VisionLanguageDecodeHead']
