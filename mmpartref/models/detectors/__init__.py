from mmpartref.models.detectors.referring_detector import ReferringDetector

__all__ = ['ReferringDetector']
