"""Inference on images with a trained model."""
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, overload

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from PIL import Image

from mmpartref.apis.call_outputs import CallImages, CallOptions, CallOutputs
from mmpartref.apis.model_building import (
    build_model,
    build_pipeline,
    choose_device,
    model_info,
    published_weights_of,
    read_config,
)
from mmpartref.apis.part_labels import MAX_PARTS, PartLabels, merge_masks, parts_of
from mmpartref.apis.results import ImageResults, PartResult
from mmpartref.argument_checks import check_choice, check_integer, check_switch
from mmpartref.engine.config.config_nodes import builds
from mmpartref.errors import InputError, InputTypeError
from mmpartref.images.image_arrays import describe
from mmpartref.images.image_url import MAX_BYTES, TIMEOUT
from mmpartref.images.read_image import MAX_PIXELS, DecodedImage, ImageLike, ImageReader
from mmpartref.models.detectors import ReferringDetector
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.registry import MODELS
from mmpartref.structures import ReferringDataSample
from mmpartref.text import has_words, shown, shown_name, text_fault

# Of the channels of arrays and tensors.
ChannelOrder: TypeAlias = Literal['rgb', 'bgr']


class PartReferInferencer:
    """Segments the parts that expressions refer to.

    ::

        inferencer = PartReferInferencer(config, checkpoint)
        head, tail = inferencer('dog.jpg', ['quadruped head', 'quadruped tail'])
        head.mask, head.score                        # also head['mask'], head['score']
        inferencer.parse_parts('dog.jpg', 'quadruped').labels

    Outputs have the size of the image after rotation by its EXIF orientation. Thread-safe: one forward pass runs at a
    time. An inferencer can be pickled and deep-copied. Building one leaves the global random states alone.

    Args:
        model: path of a config, the name of a packaged one, or a loaded one; its test pipeline prepares the images.
        weights: path of a checkpoint of mmengine, a converted or published CRIS, or of mmdet; see ``load_weights``.
            None for those that the model index has for the name of a packaged config (``'cris_tiny_toyparts'``),
            otherwise the weights of the config's ``init_cfg``, or random ones with a warning.
        device: ``'cpu'``, ``'cuda'``, ...; None or ``'auto'`` for CUDA where it is available.
        max_pixels: larger images are rejected, files before they are decoded.
        max_bytes, timeout: limits of a download, see ``fetch_image``; at most a day.
        weights_key: key of the weights in the checkpoint, e.g. ``'ema_state_dict'``; None to find them.
        amp: predict in mixed precision, as ``model.amp`` of a config: float16 on CUDA, bfloat16 on a CPU.

    Attributes:
        info: ``'description'``, ``'config'`` and ``'checkpoint'``, for ``CocoOutput``; paths, or None.

    Raises:
        FileNotFoundError: config or checkpoint does not exist.
        TypeError: an argument is of another type.
        ConfigError: the compiled operations of a detector are missing, or the test pipeline is not usable.
        WeightsError: the checkpoint is damaged, unsafe, or does not fit the model; a ValueError.
        ValueError: a limit is out of range, the checkpoint of a detector has no categories, the model has no mixed
            precision, or the device is not available.
    """

    def __init__(self, model: str | Path | Config, weights: str | Path | None = None,
                 device: str | torch.device | None = None, *, max_pixels: int = MAX_PIXELS,
                 max_bytes: int = MAX_BYTES, timeout: float = TIMEOUT, weights_key: str | None = None,
                 amp: bool = False) -> None:
        self.device = choose_device(device)
        check_switch(amp, 'amp')
        self.reader = ImageReader(max_pixels, max_bytes, timeout)
        config = read_config(model)
        if weights is None and weights_key is None:
            weights = published_weights_of(model)
        if amp and not builds(MODELS, config.model, ReferringSegmentor):
            raise InputError(f"mixed precision (amp): only ReferringSegmentor has it, not {config.model.get('type')}")
        self.model = build_model(config, weights, weights_key).to(self.device)
        if amp:
            self.model.amp = True
        self.info = model_info(config, weights)
        self.pipeline = Compose(build_pipeline(config))
        # The model has a cache of text features.
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without the lock."""
        return {name: value for name, value in self.__dict__.items() if name != '_lock'}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @overload
    def __call__(self, image: list | tuple, expressions: str | Sequence[str], *, heat_map: bool = False,
                 batch_size: int = 1, channel_order: ChannelOrder = 'rgb', out_dir: str | os.PathLike = '',
                 pred_out_dir: str | os.PathLike = '', show: bool = False,
                 return_vis: bool = False) -> list[ImageResults]: ...

    # For a folder or glob a list, too; types cannot tell its path from a file's.
    @overload
    def __call__(self, image: ImageLike, expressions: str | Sequence[str], *, heat_map: bool = False,
                 batch_size: int = 1, channel_order: ChannelOrder = 'rgb', out_dir: str | os.PathLike = '',
                 pred_out_dir: str | os.PathLike = '', show: bool = False,
                 return_vis: bool = False) -> ImageResults: ...

    def __call__(self, image: ImageLike | list | tuple, expressions: str | Sequence[str], *, heat_map: bool = False,
                 batch_size: int = 1, channel_order: ChannelOrder = 'rgb', out_dir: str | os.PathLike = '',
                 pred_out_dir: str | os.PathLike = '', show: bool = False,
                 return_vis: bool = False) -> ImageResults | list[ImageResults]:
        """Segment one image, or several; write and show the results on request.

        Args:
            image: a path, an http(s) URL, a PIL image, an array or a tensor, see ``ImageReader``; a list of these; or
                the path of a folder (searched recursively) or a glob, see ``find_images``.
            expressions: the queries, the same for every image.
            heat_map: also return a heat map per expression, 4 bytes per pixel.
            batch_size: images per forward pass, at least 1; results differ by rounding only.
            channel_order: of arrays and tensors, ``'bgr'`` for OpenCV's; other images are an error with it.
            out_dir: write masks, overlays and with ``heat_map`` heat maps there, see ``OutputOptions``; '' for none.
            pred_out_dir: write the masks of all images to ``predictions.json`` there, see ``CocoOutput``; '' for none.
            show: open each overlay in the system's image viewer.
            return_vis: set ``ImageResults.vis``, the overlay as an array.

        Returns:
            A ``PartResult`` per expression: ``'expression'``, ``'mask'`` ((h, w) bool), ``'score'`` (0 to 1) and
            with ``heat_map`` ``'heat_map'`` ((h, w) float32). For a list, a folder or a glob a list of these.

        Raises:
            ValueError: no expression, an empty one, an image that is too large or cannot be read, an image whose
                channels have a known order with ``'bgr'``, or an output that would overwrite an input.
            TypeError: an argument or an image is of another type.
            FileNotFoundError, ConnectionError: see ``ImageReader`` and ``find_images``.
            OSError: an output cannot be written.
        """
        options = CallOptions.checked(out_dir, pred_out_dir, show, return_vis)
        images, queries = CallImages.of(image, options.out_dir), check_expressions(expressions)
        stream = self.stream(images.images, queries, heat_map=heat_map, batch_size=batch_size,
                             channel_order=channel_order)
        outputs = CallOutputs(images, queries, options, heat_maps=heat_map, info=self.info)
        found = []
        for number, results in enumerate(stream):
            outputs.add(number, results)
            found.append(results)
        outputs.finish()
        return found if images.several else found[0]

    def stream(self, images: Iterable[ImageLike], expressions: str | Sequence[str], *, heat_map: bool = False,
               batch_size: int = 1, channel_order: ChannelOrder = 'rgb') -> Iterator[ImageResults]:
        """Yield the results of any number of images in order, with one batch of images in memory.

        Arguments and errors as in ``__call__``; ``images`` is an iterable of images.
        """
        with_heat_map = check_switch(heat_map, 'heat_map')
        predicted = self._predicted(images, check_expressions(expressions), batch_size, channel_order)
        return (self.results(each, sample, with_heat_map) for each, sample in predicted)

    @property
    def threshold(self) -> float:
        """The probability above which a pixel is in a mask; a detector's score threshold."""
        if isinstance(self.model, ReferringDetector):
            return self.model.score_threshold
        return self.model.decode.threshold

    @overload
    def parse_parts(self, image: list | tuple, super_category: str | None = None, *,
                    expressions: Sequence[str] | None = None, batch_size: int = 1,
                    channel_order: ChannelOrder = 'rgb') -> list[PartLabels]: ...

    @overload
    def parse_parts(self, image: ImageLike, super_category: str | None = None, *,
                    expressions: Sequence[str] | None = None, batch_size: int = 1,
                    channel_order: ChannelOrder = 'rgb') -> PartLabels: ...

    def parse_parts(self, image: ImageLike | list | tuple, super_category: str | None = None, *,
                    expressions: Sequence[str] | None = None, batch_size: int = 1,
                    channel_order: ChannelOrder = 'rgb') -> PartLabels | list[PartLabels]:
        """Segment all parts of an object into one label map.

        A pixel gets the part with the greatest heat among those whose mask covers it.

        Args:
            image: one image, a list, a folder or a glob, as in ``__call__``.
            super_category: the parts are those of this PartImageNet super-category, e.g. ``'quadruped'``.
            expressions: the parts, in the order of their labels, at most 255; instead of ``super_category``.
            batch_size: images per forward pass.
            channel_order: of arrays and tensors, as in ``__call__``.

        Raises:
            ValueError: neither or both are given, the super-category is unknown, an expression is empty or repeated;
                or as in ``__call__``.
        """
        if (super_category is None) == (expressions is None):
            raise InputError("give either a super-category, e.g. 'quadruped', or expressions=[...]")
        if super_category is not None and not isinstance(super_category, str):
            raise InputTypeError(f'super_category={shown(super_category)} should be a string; give a list of parts as '
                                 'expressions=[...]')
        parts = check_expressions(parts_of(super_category) if super_category is not None else expressions)
        if len(set(parts)) < len(parts) or len(parts) > MAX_PARTS:
            raise InputError(f'a label map has at most {MAX_PARTS} parts, each once; got {shown(parts)}')
        images = CallImages.of(image)
        found = [self.labels(*each) for each in self._predicted(images.images, parts, batch_size, channel_order)]
        return found if images.several else found[0]

    def _predicted(self, images: Iterable[ImageLike], expressions: list[str], batch_size: int,
                   channel_order: str) -> Iterator[tuple[DecodedImage, ReferringDataSample]]:
        """Check the arguments and the kind of ``images`` at once, and return a generator that reads and predicts."""
        # The most that islice takes.
        size = min(check_integer(batch_size, 'batch_size'), sys.maxsize)
        check_choice(channel_order, 'channel_order', get_args(ChannelOrder))
        read = self._read_bgr if channel_order == 'bgr' else self.reader
        return self._in_batches(map(read, check_images(images)), expressions, size)

    def _in_batches(self, images: Iterator[DecodedImage], expressions: list[str],
                    batch_size: int) -> Iterator[tuple[DecodedImage, ReferringDataSample]]:
        while batch := list(islice(images, batch_size)):
            yield from zip(batch, self.predict(batch, expressions), strict=True)

    def _read_bgr(self, image: ImageLike) -> DecodedImage:
        """Read an array or a tensor whose channels are blue, green, red and maybe alpha; grey ones as they are."""
        if not isinstance(image, (np.ndarray, torch.Tensor)):
            raise InputError("channel_order='bgr' is for arrays and tensors, and the channel order of a "
                             f'{type(image).__name__} is known; give the image without channel_order')
        decoded = self.reader(image)
        return DecodedImage(np.ascontiguousarray(decoded.pixels[:, :, ::-1]), decoded.name)

    def predict(self, images: Sequence[DecodedImage], expressions: list[str]) -> list[ReferringDataSample]:
        """Return the model's outputs for a batch, for ``results`` and ``labels``, which other threads may call.

        The model runs once per input size, because padding to a common size would change the results.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        items = []
        for number, image in enumerate(images):
            items.append(self._prepare(image, expressions))
            groups.setdefault(tuple(items[-1]['inputs'].shape), []).append(number)
        samples: dict[int, ReferringDataSample] = {}
        for group in groups.values():
            batch = {key: [items[number][key] for number in group] for key in items[0]}
            with self._lock:
                found = self.model(**self.model.data_preprocessor(batch, False), mode='predict')
            samples.update(zip(group, found, strict=True))
        return [samples[number] for number in range(len(images))]

    def _prepare(self, image: DecodedImage, expressions: list[str]) -> dict[str, Any]:
        try:
            # A copy of the list, because the results keep it.
            return self.pipeline({'img': image.pixels, 'img_path': image.name, 'ori_shape': image.size,
                                  'expressions': list(expressions)})
        except cv2.error as error:
            height, width = image.size
            raise InputError(f'{shown_name(image.name)}, {width} x {height} pixels, cannot be scaled for the model '
                             f'({describe(error)}); cut a very long image into pieces') from error

    def labels(self, image: DecodedImage, sample: ReferringDataSample) -> PartLabels:
        """Return the label map of an image, from its output of ``predict``."""
        masks = (mask.cpu().numpy() for mask in sample.pred_masks)
        heat_maps = (self._heat_map(sample, index) for index in range(len(sample.expressions)))
        return PartLabels(image, merge_masks(masks, heat_maps, image.size), sample.expressions)

    def _heat_map(self, sample: ReferringDataSample, index: int) -> np.ndarray:
        return self.model.heat_map(sample, index).cpu().numpy()

    def _instances(self, sample: ReferringDataSample, index: int) -> list[tuple[np.ndarray, float]] | None:
        if not isinstance(self.model, ReferringDetector):
            return None
        scores, masks = self.model.instances(sample, index)
        return list(zip(masks.cpu().numpy(), scores.tolist(), strict=True))

    def results(self, image: DecodedImage, sample: ReferringDataSample, heat_map: bool) -> ImageResults:
        """Return the results for an image, from its output of ``predict``, on request with heat maps."""
        masks = sample.pred_masks.cpu().numpy()
        presence = sample.get('pred_presence')
        return ImageResults(image, [
            PartResult(image, expression, masks[index], float(sample.pred_scores[index]),
                       heat_map=self._heat_map(sample, index) if heat_map else None,
                       presence=None if presence is None else float(presence[index]),
                       instances=self._instances(sample, index))
            for index, expression in enumerate(sample.expressions)])


def check_images(images: Any) -> Iterable[ImageLike]:
    """Return an iterable of images.

    Raises:
        TypeError: it is one image, or not iterable.
    """
    single = isinstance(images, (str, bytes, os.PathLike, Mapping, Image.Image, DecodedImage)) or (
        isinstance(images, (np.ndarray, torch.Tensor)) and images.ndim < 4)
    if single or not isinstance(images, Iterable):
        raise InputTypeError(f'images should be several, e.g. in a list or from a generator, got a '
                             f'{type(images).__name__}; give one image as [image]')
    return images


def check_expressions(expressions: Any) -> list[str]:
    """Return a string, or an ordered iterable of strings, as a list.

    Raises:
        ValueError: there is none, or one is empty or not a string.
    """
    if isinstance(expressions, str):
        expressions = [expressions]
    # A set has no order; arrays without axes are of iterable types.
    elif isinstance(expressions, (bytes, Mapping, set, frozenset)) or not isinstance(expressions, Iterable) or (
            getattr(expressions, 'ndim', 1) == 0):
        raise InputError(f'expressions must be a string or a list of strings, got {shown(expressions)}')
    queries = list(expressions)
    if not queries or not all(isinstance(each, str) and has_words(each) for each in queries):
        raise InputError(f'expressions must be one or more non-empty strings, got {shown(queries)}')
    for each in queries:
        if fault := text_fault(each):
            raise InputError(fault)
    return [str(each) for each in queries]  # those of numpy are of a subclass
