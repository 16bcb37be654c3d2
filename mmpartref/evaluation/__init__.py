from mmpartref.evaluation.metrics.instance_results import InstanceResults
from mmpartref.evaluation.metrics.part_presence_metric import PartPresenceMetric
from mmpartref.evaluation.metrics.referring_dump import ReferringDump
from mmpartref.evaluation.metrics.referring_seg_metric import ReferringSegMetric

__all__ = ['InstanceResults', 'PartPresenceMetric', 'ReferringDump', 'ReferringSegMetric']
