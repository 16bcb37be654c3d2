from mmpartref.structures.referring_data_sample import ReferringDataSample

__all__ = ['ReferringDataSample']
