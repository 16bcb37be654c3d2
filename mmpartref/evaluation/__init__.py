from mmpartref.evaluation.part_presence_metric import PartPresenceMetric
from mmpartref.evaluation.referring_dump import ReferringDump
from mmpartref.evaluation.referring_seg_metric import ReferringSegMetric

__all__ = ['PartPresenceMetric', 'ReferringDump', 'ReferringSegMetric']
