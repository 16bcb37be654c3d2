from mmpartref.visualization.part_refer_visualizer import PartReferVisualizer

__all__ = ['PartReferVisualizer']
