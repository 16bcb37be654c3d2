"""BatchNorm folded into the convolution before it, for inference."""
import itertools

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmpartref.errors import InputError


def fold_batch_norms(model: nn.Module) -> int:
    """Fold, in place, every BatchNorm that directly follows a convolution; returns how many.

    In evaluation BatchNorm is a fixed scale and shift per channel, which the convolution's weight and bias can do. The
    outputs differ by rounding; the model can no longer train, nor load or give a checkpoint of the usual form.

    Pairs are told by their place: neighbours in an ``nn.Sequential``, or children called ``convK`` and ``bnK``.

    Raises:
        ValueError: the model is in training mode, where BatchNorm uses the batch's own statistics.
    """
    if model.training:
        raise InputError('BatchNorm can be folded in evaluation only; call model.eval() first')
    folded = 0
    for module in model.modules():
        children = dict(module.named_children())
        pairs = [(f'conv{name[2:]}', name) for name in children if name.startswith('bn')]
        if isinstance(module, nn.Sequential):
            names = list(children)
            pairs = list(itertools.pairwise(names))
        for first, second in pairs:
            convolution, norm = children.get(first), children[second]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                with torch.no_grad():
                    setattr(module, first, fuse_conv_bn_eval(convolution, norm))
                setattr(module, second, nn.Identity())
                folded += 1
    return folded
