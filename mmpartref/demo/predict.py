"""Predictions of the page: masks to look at, and a zip with all outputs."""
import json
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.output_files import OVERLAY_SIDE, OutputOptions, write_overlay, write_results
from mmpartref.apis.results import ImageResults, PartResult
from mmpartref.demo.limits import Limits, expressions_of
from mmpartref.demo.view import Layer, layer_of, view_of
from mmpartref.errors import InputError
from mmpartref.images.read_image import FORMATS, MAX_SIDE, DecodedImage

COCO_NAME = 'annotations.json'


def predict(inferencer: PartReferInferencer, path: Path | None, text: str, limits: Limits) -> str:
    """Predict the masks of the expressions in one image, and return the HTML that shows them.

    Each expression is a separate call, whose time is measured: from the decoded image to the mask at its size.

    Args:
        inferencer: the model.
        path: image file, or None.
        text: one expression per line.
        limits: limits of the expressions.

    Raises:
        InputError: the image or the expressions cannot be used.
    """
    expressions = expressions_of(text, limits)
    image = read_upload(inferencer, path)
    layers: list[Layer] = []
    for number, expression in enumerate(expressions):
        start = time.perf_counter()
        result = inferencer(image, expression, heat_map=True)[0]
        # Only the picture stays: a heat map of full size has four bytes per pixel.
        layers.append(layer_of(number, result, time.perf_counter() - start))
    return view_of(image, layers)


def save_outputs(inferencer: PartReferInferencer, path: Path | None, text: str, threshold: float, limits: Limits,
                 folder: Path) -> Path:
    """Write a zip with the masks as PNG, the overlay and a COCO json into a folder, and return its path.

    Arguments and errors as of ``predict``; pixels with a probability above ``threshold`` are in a mask.
    """
    expressions = expressions_of(text, limits)
    image = read_upload(inferencer, path)
    image = DecodedImage(image.pixels, Path(image.name).name)
    results = ImageResults(image)
    for expression in expressions:
        result = inferencer(image, expression, heat_map=True)[0]
        results.append(at_threshold(result, None if threshold == inferencer.threshold else threshold))
    with TemporaryDirectory(dir=folder) as made:
        options, stem = OutputOptions(expressions, Path(made)), Path(Path(image.name).stem.strip('.') or 'image')
        write_results(results, stem, options)
        write_overlay(results.overlay(OVERLAY_SIDE), stem, options)
        (Path(made) / COCO_NAME).write_text(json.dumps(results.to_coco()), encoding='utf-8')
        target = Path(made).with_name(f'{Path(made).name}_masks')
        target.mkdir()
        with zipfile.ZipFile(target / 'masks.zip', 'w') as archive:  # PNG is compressed already
            for file in sorted(Path(made).iterdir()):
                archive.write(file, file.name)
    return target / 'masks.zip'


def at_threshold(result: PartResult, threshold: float | None) -> PartResult:
    """Return a result without its heat map, as it is or with mask and mean probability at another threshold."""
    if threshold is None:
        return PartResult(result.image, result.expression, result.mask, result.score, presence=result.presence,
                          instances=result.instances)
    heat = result.heat_map
    mask = heat > threshold
    return PartResult(result.image, result.expression, mask, float(heat[mask].mean()) if mask.any() else 0.0,
                      presence=result.presence)


def read_upload(inferencer: PartReferInferencer, path: Path | None) -> DecodedImage:
    """Read the uploaded image; a ``Path`` is never a URL.

    Raises:
        InputError: there is none, or it cannot be read; the message has no path and no content of the file.
    """
    if not path:
        raise InputError('There is no image: drop one, or choose an example.')
    try:
        return inferencer.reader(path)
    except (ValueError, OSError):
        raise InputError(why_unreadable(path, inferencer.reader.max_pixels)) from None


def why_unreadable(path: Path, max_pixels: int) -> str:
    """Return why an image file was rejected, from its header alone."""
    try:
        with Image.open(path, formats=[each for each in FORMATS if each in Image.OPEN]) as image:
            width, height = image.size
    except Exception:  # broken files make PIL raise errors of many types
        return ('The file is not an image that can be read here; save it as a JPEG or PNG file of at most '
                f'{max_pixels:,} pixels, and upload that.')
    size = f'The image is {width:,} x {height:,} pixels'
    if width * height > max_pixels:
        return f'{size}, more than max_pixels={max_pixels:,}; make it smaller.'
    if max(width, height) > MAX_SIDE:
        return f'{size}, and no side may be longer than {MAX_SIDE:,}; make it smaller.'
    return 'The image cannot be decoded, it is damaged or truncated; save it again as a JPEG or PNG file.'
