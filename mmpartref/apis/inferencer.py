"""Ask a trained model about one's own photo."""
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader, load_checkpoint

from mmpartref.engine.checkpoint_types import mmengine_checkpoints_allowed
from mmpartref.engine.detector_categories_hook import META_KEY
from mmpartref.engine.detector_config import require_operations, set_categories
from mmpartref.models.layers.fold_batch_norms import fold_batch_norms
from mmpartref.registry import MODELS, SCOPE


class PartReferInferencer:
    """Segment the parts that expressions name.

    Args:
        config: path of a config, or a loaded one; its test pipeline prepares the photo.
        checkpoint: path of the weights; without one the model keeps its random weights, and says so.
        device: ``'cpu'``, ``'cuda'``, ...; by default CUDA where there is one.
        fold: fold BatchNorm into the convolutions, see ``fold_batch_norms``.

    Raises:
        FileNotFoundError: config or checkpoint does not exist.
        ConfigError: a detector's compiled operations are missing.
        ValueError: a detector's checkpoint does not say what its labels mean.
    """

    def __init__(self, config: str | Path | Config, checkpoint: str | Path | None = None,
                 device: str | None = None, *, fold: bool = False) -> None:
        if not isinstance(config, Config):
            if not Path(config).is_file():
                raise FileNotFoundError(f'there is no config {config}')
            config = Config.fromfile(config)
        if checkpoint is not None and not Path(checkpoint).is_file():
            raise FileNotFoundError(f'there is no checkpoint {checkpoint}')
        config = copy.deepcopy(config)
        require_operations(config)
        if checkpoint is not None and config.model.get('type') == 'ReferringDetector':
            self._read_categories(config, checkpoint)
        self.device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        with DefaultScope.overwrite_default_scope(SCOPE):
            self.model = MODELS.build(config.model)
            load, *rest = config.test_dataloader.dataset.pipeline
            self.load = Compose([load])
            self.pipeline = Compose(rest)
        if checkpoint is not None:
            with mmengine_checkpoints_allowed():
                load_checkpoint(self.model, str(checkpoint), map_location='cpu', strict=True)
        self.model.to(self.device).eval()
        if fold:
            fold_batch_norms(self.model)

    @staticmethod
    def _read_categories(config: Config, checkpoint: str | Path) -> None:
        """Take a detector's categories from its checkpoint: there need be no json here."""
        if config.model.get('categories'):
            return
        with mmengine_checkpoints_allowed():
            meta = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu').get('meta', {})
        if META_KEY not in meta:
            raise ValueError(f'{checkpoint} does not say which categories its labels stand for; give model.categories '
                             'in the config, as dict(name=..., super_category=..., part=...) each')
        set_categories(config, meta[META_KEY], str(checkpoint))

    def __call__(self, image: str | Path | np.ndarray, expressions: str | Sequence[str]) -> list[dict[str, Any]]:
        """Segment one photo.

        Args:
            image: path, or an RGB array (h, w, 3) uint8.
            expressions: what to look for.

        Returns:
            One dict per expression: ``'expression'``, ``'mask'`` ((h, w) bool, on the photo's own pixels) and
            ``'score'`` (mean probability inside the mask, 0 to 1).

        Raises:
            ValueError: no expression, an empty one, or an array of another form.
        """
        expressions = [expressions] if isinstance(expressions, str) else list(expressions)
        if not expressions or not all(isinstance(each, str) and each.strip() for each in expressions):
            raise ValueError(f'give at least one expression, and none empty; got {expressions!r}')
        item = self.pipeline({**self._read(image), 'expressions': expressions})
        batch = self.model.data_preprocessor({key: [value] for key, value in item.items()}, False)
        sample = self.model(**batch, mode='predict')[0]
        masks = sample.pred_masks.cpu().numpy()
        return [{
            'expression': expression,
            'mask': mask,
            'score': float(score)
        } for expression, mask, score in zip(expressions, masks, sample.pred_scores, strict=True)]

    def _read(self, image: str | Path | np.ndarray) -> dict[str, Any]:
        if not isinstance(image, np.ndarray):
            return self.load({'img_path': str(image)})
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f'an image array must be RGB (h, w, 3) uint8, got {image.shape} {image.dtype}')
        return {'img': image, 'img_path': None, 'ori_shape': image.shape[:2]}
