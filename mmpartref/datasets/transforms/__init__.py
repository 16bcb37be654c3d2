from mmpartref.datasets.transforms.constant_expression import ConstantExpression
from mmpartref.datasets.transforms.draw_expressions import DrawExpressions
from mmpartref.datasets.transforms.draw_level import DrawLevel
from mmpartref.datasets.transforms.letterbox import Letterbox
from mmpartref.datasets.transforms.load_image import LoadImage
from mmpartref.datasets.transforms.load_referring_masks import LoadReferringMasks
from mmpartref.datasets.transforms.pack_referring_inputs import PackReferringInputs
from mmpartref.datasets.transforms.random_colour import RandomColour
from mmpartref.datasets.transforms.random_detector_flip import RandomDetectorFlip
from mmpartref.datasets.transforms.random_detector_zoom import RandomDetectorZoom
from mmpartref.datasets.transforms.random_part_flip import RandomPartFlip
from mmpartref.datasets.transforms.random_part_zoom import RandomPartZoom
from mmpartref.datasets.transforms.sampled_parts import RandomPartTransform

__all__ = [
    'ConstantExpression', 'DrawExpressions', 'DrawLevel', 'Letterbox', 'LoadImage', 'LoadReferringMasks',
    'PackReferringInputs', 'RandomColour', 'RandomDetectorFlip', 'RandomDetectorZoom', 'RandomPartFlip',
    'RandomPartTransform', 'RandomPartZoom'
]
