"""Last transform of a pipeline: the model's inputs."""
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmpartref.datasets.transforms.load_image import loaded_image
from mmpartref.errors import InputError
from mmpartref.registry import TRANSFORMS
from mmpartref.structures import ReferringDataSample

META_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'pad_shape', 'letterbox_matrix', 'scale_factor', 'flip',
             'flip_direction', 'skipped', 'half_pixel', 'fill')


@TRANSFORMS.register_module()
class PackReferringInputs(BaseTransform):
    """Pack an image as ``{'inputs': uint8 tensor (3, H, W) RGB, 'data_samples': ReferringDataSample}``.

    ``expressions`` default to the first one of each ref; with given ``expressions``, ``refs`` are not needed. Without
    ``Letterbox`` the ``letterbox_matrix`` is the identity. ``pad_shape``, which mmdet's tools read, is the packed
    image's size (H, W); ``scale_factor``, ``flip`` and ``flip_direction`` are packed where a transform writes them.

    Raises:
        InputError: there are no expressions, or expressions, refs and masks differ in number.
    """

    def transform(self, results: dict) -> dict:
        """Pack one image."""
        img = loaded_image(results, self)
        results.setdefault('ori_shape', img.shape[:2])
        results.setdefault('img_shape', img.shape[:2])
        results['pad_shape'] = img.shape[:2]
        results.setdefault('letterbox_matrix', np.eye(2, 3))
        sample = ReferringDataSample(metainfo={key: results[key] for key in META_KEYS if key in results})
        sample.expressions = self._expressions(results)
        if 'refs' in results:
            sample.refs = results['refs']
        if 'original' in results:
            sample.original = results['original']  # (h, w, 3), stays on the CPU
        if 'part_presence' in results:
            sample.part_presence = results['part_presence']
        if 'gt_masks' in results:
            sample.gt_masks = torch.from_numpy(np.ascontiguousarray(results['gt_masks']))  # (K, H, W)
        inputs = torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))  # (3, H, W)
        return {'inputs': inputs, 'data_samples': sample}

    @staticmethod
    def _expressions(results: dict) -> list[str]:
        expressions = results.get('expressions')
        if expressions is None:
            expressions = [ref['expressions'][0] for ref in results.get('refs', [])]
        where = results.get('img_path', 'an image')
        if not expressions:
            raise InputError(f'{where} has no expression; give refs, or a list of expressions')
        for key in ('refs', 'gt_masks'):
            if key in results and len(results[key]) != len(expressions):
                raise InputError(f'{where} has {len(expressions)} expressions but {len(results[key])} {key}; a '
                                 'transform that drops one has to drop the other')
        return list(expressions)
