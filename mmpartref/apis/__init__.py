from mmpartref.apis.inferencer import PartReferInferencer

__all__ = ['PartReferInferencer']
