from mmpartref.models.necks.cris_neck import CRISNeck

__all__ = ['CRISNeck']
