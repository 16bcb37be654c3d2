"""Ask a trained model about one's own photos."""
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose

from mmpartref.apis.model_building import build_model, build_pipeline, choose_device, read_config
from mmpartref.apis.part_labels import MOST_PARTS, PartLabels, parts_of, strongest
from mmpartref.apis.results import PartResult, PhotoResults
from mmpartref.errors import InputError
from mmpartref.images.image_url import MAX_BYTES, TIMEOUT
from mmpartref.images.read_image import MAX_PIXELS, ImageLike, Photo, PhotoReader
from mmpartref.models.layers.cpu.fold_batch_norms import fold_batch_norms
from mmpartref.structures import ReferringDataSample
from mmpartref.text import has_words, shown, text_fault


class PartReferInferencer:
    """Segment the parts that expressions name.

    ::

        inferencer = PartReferInferencer(config, checkpoint)
        head, tail = inferencer('dog.jpg', ['quadruped head', 'quadruped tail'])
        head.mask, head.score                        # also head['mask'], head['score']
        inferencer.parse_parts('dog.jpg', 'quadruped').labels

    Everything that comes back lies on the pixels of the photo as it is seen, upright, and has its size. Calls from
    several threads wait for one another.

    Args:
        config: path of a config, or a loaded one; its test pipeline prepares the photo.
        checkpoint: path of the weights: one of mmengine's, a converted or published CRIS, or mmdet's; see
            ``load_weights``. Without one the model has what its ``init_cfg`` names, or random weights, and says so.
        device: ``'cpu'``, ``'cuda'``, ...; by default and for ``'auto'`` CUDA where there is one.
        fold: fold BatchNorm into the convolutions, see ``fold_batch_norms``.
        max_pixels: photos of more pixels are refused, files before they are decoded.
        max_bytes, timeout: limits of a URL, see ``fetch_photo``.

    Raises:
        FileNotFoundError: config or checkpoint does not exist.
        ConfigError: a detector's compiled operations are missing, or the test pipeline does not suit.
        WeightsError: the checkpoint is damaged, asks to run code, or does not fit; a ValueError.
        ValueError: a detector's checkpoint does not say what its labels mean, or there is no such device.
    """

    def __init__(self, config: str | Path | Config, checkpoint: str | Path | None = None,
                 device: str | torch.device | None = None, *, fold: bool = False, max_pixels: int = MAX_PIXELS,
                 max_bytes: int = MAX_BYTES, timeout: float = TIMEOUT) -> None:
        self.device = choose_device(device)
        config = read_config(config)
        self.reader = PhotoReader(max_pixels, max_bytes, timeout)
        self.model = build_model(config, checkpoint).to(self.device)
        if fold:
            fold_batch_norms(self.model)
        self.pipeline = Compose(build_pipeline(config))
        # The model keeps text features from call to call.
        self._one_at_a_time = threading.Lock()

    @overload
    def __call__(self, image: list | tuple, expressions: str | Sequence[str], *, heat_map: bool = False,
                 batch_size: int = 1) -> list[PhotoResults]:
        ...

    @overload
    def __call__(self, image: ImageLike, expressions: str | Sequence[str], *, heat_map: bool = False,
                 batch_size: int = 1) -> PhotoResults:
        ...

    def __call__(self, image: ImageLike | list | tuple, expressions: str | Sequence[str], *, heat_map: bool = False,
                 batch_size: int = 1) -> PhotoResults | list[PhotoResults]:
        """Segment one photo, or several.

        Args:
            image: a path, an http(s) URL, a PIL image, an array or a tensor; see ``PhotoReader``. A list of these
                gives a list of answers; ``stream`` gives them one by one.
            expressions: what to look for, the same in every photo.
            heat_map: also return each expression's heat map, 4 bytes a pixel.
            batch_size: photos that share a forward pass. The answers are the same but for the rounding of sums.

        Returns:
            One ``PartResult`` per expression: ``'expression'``, ``'mask'`` ((h, w) bool), ``'score'`` (0 to 1) and
            with ``heat_map`` ``'heat_map'`` ((h, w) float32).

        Raises:
            ValueError: no expression, an empty one, no photo, one too large or of another form; names it.
            FileNotFoundError, ConnectionError, TypeError: see ``PhotoReader``.
        """
        if isinstance(image, (list, tuple)):
            return list(self.stream(image, expressions, heat_map=heat_map, batch_size=batch_size))
        return next(self.stream([image], expressions, heat_map=heat_map, batch_size=batch_size))

    def stream(self, images: Iterable[ImageLike], expressions: str | Sequence[str], *, heat_map: bool = False,
               batch_size: int = 1) -> Iterator[PhotoResults]:
        """Yield the answers about any number of photos in their order, no more than a batch of them in memory.

        Arguments and errors as in a call.
        """
        predicted = self._predicted(images, check_expressions(expressions), batch_size)
        return (self._results(photo, sample, heat_map) for photo, sample in predicted)

    @overload
    def parse_parts(self, image: list | tuple, super_category: str | None = None, *,
                    expressions: Sequence[str] | None = None, batch_size: int = 1) -> list[PartLabels]:
        ...

    @overload
    def parse_parts(self, image: ImageLike, super_category: str | None = None, *,
                    expressions: Sequence[str] | None = None, batch_size: int = 1) -> PartLabels:
        ...

    def parse_parts(self, image: ImageLike | list | tuple, super_category: str | None = None, *,
                    expressions: Sequence[str] | None = None, batch_size: int = 1) -> PartLabels | list[PartLabels]:
        """Return every part of an object as one map of labels.

        A pixel gets the part with the highest probability among those whose mask covers it: those above the model's
        threshold. Of a detector's, the part with the best instance.

        Args:
            image: one photo or a list, as in a call.
            super_category: all parts that PartImageNet's objects of this kind have, e.g. ``'quadruped'``.
            expressions: the parts instead, in the order of their labels, at most 255.
            batch_size: as in a call.

        Raises:
            ValueError: neither or both are given, the super-category is unknown, an expression is empty or repeated;
                or as in a call.
        """
        if (super_category is None) == (expressions is None):
            raise InputError("give a super-category, e.g. 'quadruped', or expressions=[...], one of the two")
        parts = check_expressions(parts_of(super_category) if super_category is not None else expressions or [])
        if len(set(parts)) < len(parts) or len(parts) > MOST_PARTS:
            raise InputError(f'a map of labels has at most {MOST_PARTS} parts, each once; got {parts!r}')
        if isinstance(image, (list, tuple)):
            return [self._labels(*each) for each in self._predicted(image, parts, batch_size)]
        return self._labels(*next(self._predicted([image], parts, batch_size)))

    def _predicted(self, images: Iterable[ImageLike], expressions: list[str],
                   batch_size: int) -> Iterator[tuple[Photo, ReferringDataSample]]:
        """Check the batch's size at once, then read and predict as the answers are taken."""
        if batch_size < 1:
            raise InputError(f'batch_size={batch_size} should be at least 1')
        return self._in_batches(iter(images), expressions, batch_size)

    def _in_batches(self, images: Iterator[ImageLike], expressions: list[str],
                    batch_size: int) -> Iterator[tuple[Photo, ReferringDataSample]]:
        while photos := [self.reader(image) for image in islice(images, batch_size)]:
            yield from zip(photos, self._predict(photos, expressions), strict=True)

    def _predict(self, photos: Sequence[Photo], expressions: list[str]) -> list[ReferringDataSample]:
        """Run the model; photos whose inputs differ in size do not share a pass, whose padding would change them."""
        groups: dict[tuple[int, ...], list[int]] = {}
        items = []
        for number, photo in enumerate(photos):
            # A copy: the model and the results share no list.
            items.append(self.pipeline({'img': photo.pixels, 'img_path': photo.name, 'ori_shape': photo.size,
                                        'expressions': list(expressions)}))
            groups.setdefault(tuple(items[-1]['inputs'].shape), []).append(number)
        samples: dict[int, ReferringDataSample] = {}
        for group in groups.values():
            batch = {key: [items[number][key] for number in group] for key in items[0]}
            with self._one_at_a_time:
                found = self.model(**self.model.data_preprocessor(batch, False), mode='predict')
            samples.update(zip(group, found, strict=True))
        return [samples[number] for number in range(len(photos))]

    def _labels(self, photo: Photo, sample: ReferringDataSample) -> PartLabels:
        masks = (mask.cpu().numpy() for mask in sample.pred_masks)
        heat_maps = (self._heat_map(sample, index) for index in range(len(sample.expressions)))
        return PartLabels(photo, strongest(masks, heat_maps, photo.size), sample.expressions)

    def _heat_map(self, sample: ReferringDataSample, index: int) -> np.ndarray:
        return self.model.heat_map(sample, index).cpu().numpy()

    def _results(self, photo: Photo, sample: ReferringDataSample, heat_map: bool) -> PhotoResults:
        masks = sample.pred_masks.cpu().numpy()
        presence = sample.get('pred_presence')
        return PhotoResults(photo, [
            PartResult(
                photo,
                expression,
                masks[index],
                float(sample.pred_scores[index]),
                heat_map=self._heat_map(sample, index) if heat_map else None,
                presence=None if presence is None else float(presence[index]))
            for index, expression in enumerate(sample.expressions)
        ])


def check_expressions(expressions: str | Sequence[str]) -> list[str]:
    """Return expressions as a list.

    Raises:
        ValueError: there is none, or one is empty or no text.
    """
    if isinstance(expressions, (bytes, Mapping)) or not isinstance(expressions, Iterable):
        raise InputError(f'expressions are a string or a list of strings, got {shown(expressions)}')
    asked = [expressions] if isinstance(expressions, str) else list(expressions)
    if not asked or not all(isinstance(each, str) and has_words(each) for each in asked):
        raise InputError(f'give at least one expression, and none empty; got {shown(asked)}')
    for each in asked:
        if fault := text_fault(each):
            raise InputError(fault)
    return asked
