"""From a config to its segmentor and letterbox, without data sets or a runner."""
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpartref.engine.launch.config_check import build_errors_explained
from mmpartref.engine.launch.fill_letterbox import fill_letterbox
from mmpartref.errors import ConfigError, WeightsError
from mmpartref.models.segmentors.referring_segmentor import ReferringSegmentor
from mmpartref.models.weights.key_report import compare_keys
from mmpartref.models.weights.state_files import read_tensors
from mmpartref.registry import MODELS, SCOPE, TRANSFORMS


def load_segmentor(config: Config, checkpoint: str | Path | None) -> ReferringSegmentor:
    """Build a config's model, with a checkpoint's weights or, without one, untrained ones.

    Raises:
        ConfigError: the model is no ``ReferringSegmentor``.
        WeightsError: the checkpoint is missing (also a FileNotFoundError), damaged or does not fit.
    """
    kind = (config.get('model') or {}).get('type')
    if str(kind).split('.')[-1] != ReferringSegmentor.__name__:
        raise ConfigError(f'only a ReferringSegmentor can be exported; model.type of {config.filename} is {kind!r}')
    # A tracer and its comparison want the network as it is written.
    settings = {name: value for name, value in config.model.items() if name != 'compile'}
    with DefaultScope.overwrite_default_scope(SCOPE), build_errors_explained():
        model = MODELS.build(settings)
    if checkpoint is not None:
        state = read_tensors(checkpoint)
        report = compare_keys(state, model.state_dict(), may_lack=('num_batches_tracked', ))
        if report:
            raise WeightsError(f'{checkpoint} does not fit the model of {config.filename}:\n{report}')
        model.load_state_dict(state, strict=False)
    return model.eval()


def letterbox_of(config: Config) -> Any:
    """Return the ``Letterbox`` of a config's test pipeline, None where there is none.

    Where the config names no ``fill``, ``fill_letterbox`` sets it in place.
    """
    fill_letterbox(config)
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    for step in dataset.get('pipeline') or []:
        if step['type'].split('.')[-1] == 'Letterbox':
            with DefaultScope.overwrite_default_scope(SCOPE):
                return TRANSFORMS.build(step)
    return None
