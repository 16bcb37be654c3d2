from mmpartref.evaluation.referring_dump import ReferringDump
from mmpartref.evaluation.referring_seg_metric import ReferringSegMetric

__all__ = ['ReferringDump', 'ReferringSegMetric']
