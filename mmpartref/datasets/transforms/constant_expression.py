"""The control experiment without text."""
from mmcv.transforms import BaseTransform

from mmpartref.argument_checks import check_text
from mmpartref.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ConstantExpression(BaseTransform):
    """Replace every expression by the same string, to evaluate a model without the text.

    Writes ``expressions`` (list of K strings). Goes after ``DrawExpressions`` or in its place.

    Args:
        text: the string.

    Raises:
        InputTypeError: it is not a string.
    """

    def __init__(self, text: str) -> None:
        self.text = check_text(text, 'ConstantExpression text')

    def transform(self, results: dict) -> dict:
        """Overwrite ``expressions``."""
        results['expressions'] = [self.text] * len(results['refs'])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(text={self.text!r})'
