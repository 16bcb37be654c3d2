"""Replies to Label Studio's requests, independent of HTTP."""
import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.formats.annotation_files import model_name
from mmpartref.apis.formats.label_studio_format import RegionOptions, prediction_of, regions_of
from mmpartref.apis.formats.labelled_masks import FormatOptions
from mmpartref.errors import InputError
from mmpartref.images.read_image import DecodedImage
from mmpartref.labelling.label_config import LabelConfig, read_label_config
from mmpartref.labelling.label_query import Query, query_of

MAX_TASKS = 2000
TRAINING = ('the backend does not train; export the project as JSON, then run tools/convert_dataset.py label_studio, '
            'tools/train.py, and start the backend with the new checkpoint')


@dataclass(frozen=True)
class PredictionRequest:
    """A request for predictions.

    Attributes:
        tasks: each an object with ``'data'``.
        config: of the project.
        query: the same for all tasks.
        interactive: a user waits for the prediction of one task.
    """
    tasks: list[Mapping[str, Any]]
    config: LabelConfig
    query: Query
    interactive: bool


class LabelStudioBackend:
    """The functions of a Label Studio ML backend for one model.

    Args:
        inferencer: the model.
        images: reads an image by its address in a task, see ``StudioImages``.
        options: how masks become regions.
    """

    def __init__(self, inferencer: PartReferInferencer, images: Callable[[object], DecodedImage],
                 options: FormatOptions) -> None:
        self.inferencer = inferencer
        self.images = images
        self.options = options
        self.model_version = f'{model_name(inferencer.info)}@{weights_hash(inferencer.model)[:8]}'

    def health(self) -> dict[str, Any]:
        return {'status': 'UP', 'model_class': type(self.inferencer.model).__name__, 'v2': True,
                'model_version': self.model_version}

    def versions(self) -> dict[str, Any]:
        return {'versions': [self.model_version]}

    def setup(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Check the labelling config of a project, in ``'schema'``.

        Raises:
            InputError: it cannot be used.
        """
        read_label_config(body.get('schema'))
        return {'model_version': self.model_version}

    def webhook(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Accept an event of a project; nothing depends on events.

        Raises:
            InputError: it asks for training.
        """
        if body.get('action') == 'START_TRAINING':
            raise InputError(TRAINING)
        return {'status': 'ok'}

    def read_request(self, body: Mapping[str, Any]) -> PredictionRequest:
        """Check a request for predictions.

        Raises:
            InputError: it is of another form.
        """
        tasks, params = body.get('tasks'), body.get('params') or {}
        if not isinstance(tasks, list) or not all(
                isinstance(each, Mapping) and isinstance(each.get('data'), Mapping) for each in tasks):
            raise InputError("'tasks' must be a list of objects with 'data'")
        if not isinstance(params, Mapping):
            raise InputError("'params' must be an object")
        if len(tasks) > MAX_TASKS:
            raise InputError(f'{len(tasks):,} tasks in one request are more than {MAX_TASKS:,}')
        config = read_label_config(body.get('label_config'))
        context = params.get('context')
        return PredictionRequest(tasks, config, query_of(config, context), context is not None)

    def read_image(self, task: Mapping[str, Any], request: PredictionRequest) -> DecodedImage:
        """Return the image of a task.

        Raises:
            InputError, DownloadError: it cannot be read.
        """
        key = request.config.image_key
        if key not in task['data']:
            raise InputError(f'its data have no {key!r}, which the labelling config names as the image')
        return self.images(task['data'][key])

    def predict(self, image: DecodedImage, request: PredictionRequest) -> dict[str, Any]:
        """Return the prediction for the image of one task of a request."""
        config, query = request.config, request.query
        results = self.inferencer(image, list(query.expressions))
        options = RegionOptions(config.kind, config.label_name, config.image_name, self.options.tolerance)
        masks = query.at_place(results.labelled_masks(), self.options)
        # Label Studio replaces an accepted region by a suggestion with its id, so suggestions get new ones.
        salt = uuid.uuid4().hex if request.interactive else ''
        regions = []
        for each in masks:
            label = query.expressions[each.label]
            regions += regions_of(each, [] if label is None else [label], image.size, options, salt)
        return prediction_of(regions, masks, self.model_version)


def weights_hash(model: torch.nn.Module) -> str:
    """Return the SHA-256 of the names and values of a model's weights, in hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f'{name} {tuple(value.shape)} {value.dtype}'.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if value.dim()
                      else repr(value.item()).encode())
    return digest.hexdigest()
