"""The result on the page as HTML: the image, a layer per expression, and a table.

A layer is a picture in one colour whose opacity is the probability; an SVG filter on the page cuts it at the threshold
(``page_files/demo.js``), so that the slider needs no request.
"""
import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmpartref.apis.results import PartResult, shrink_to
from mmpartref.images.read_image import DecodedImage
from mmpartref.tables import percent
from mmpartref.visualization.overlay import distinct_colour

# Longest side of the pictures on the page, in pixels.
PICTURE_SIDE = 1024
NOT_FOUND = 'not found'


@dataclass(frozen=True)
class Layer:
    """One expression of the result.

    Attributes:
        expression: the expression.
        colour: of the layer, as ``#rrggbb``.
        picture: the layer as a data URL of a PNG.
        score: as text.
        share: of the image, as text.
        seconds: of the prediction.
    """
    expression: str
    colour: str
    picture: str
    score: str
    share: str
    seconds: float


def layer_of(number: int, result: PartResult, seconds: float) -> Layer:
    """Return the layer of a result with a heat map; ``number`` chooses the colour."""
    colour = distinct_colour(number)
    pixels, (heat, ) = shrink_to(result.image.pixels, [result.heat_map], PICTURE_SIDE)
    layer = np.empty((*pixels.shape[:2], 4), np.uint8)
    layer[..., :3] = colour
    layer[..., 3] = np.rint(heat * 255)
    found = bool(result.mask.any())
    return Layer(result.expression, '#{:02x}{:02x}{:02x}'.format(*colour), data_url(Image.fromarray(layer)),
                 percent(result.score) if found else NOT_FOUND, f'{result.mask.mean():.1%}' if found else '', seconds)


def data_url(picture: Image.Image, kind: str = 'PNG') -> str:
    file = io.BytesIO()
    picture.save(file, kind)
    return f'data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}'


def view_of(image: DecodedImage, layers: Sequence[Layer]) -> str:
    """Return the HTML of a result, with all text escaped."""
    pixels, _ = shrink_to(image.pixels, [], PICTURE_SIDE)
    height, width = pixels.shape[:2]
    pictures = ''.join(f'<img class="layer" data-layer="{number}" src="{each.picture}" '
                       f'alt="Mask of {html.escape(each.expression)}">' for number, each in enumerate(layers))
    rows = ''.join(
        f'<tr><td><label><input type="checkbox" checked data-layer="{number}"> <span class="swatch" '
        f'style="background:{each.colour}"></span> {html.escape(each.expression)}</label></td><td>{each.score}</td>'
        f'<td>{each.share}</td><td>{1000 * each.seconds:.0f} ms</td></tr>' for number, each in enumerate(layers))
    return (f'<figure class="view" style="aspect-ratio:{width}/{height};max-width:calc(75vh*{width / height:.4f})">'
            f'<img src="{data_url(Image.fromarray(pixels), "JPEG")}" alt="The image">{pictures}</figure>'
            '<p><label><input type="checkbox" data-soft> show probabilities</label></p>'
            '<table class="results"><thead><tr><th scope="col">expression</th><th scope="col">score</th>'
            '<th scope="col">of the image</th><th scope="col">time</th></tr></thead>'
            f'<tbody>{rows}</tbody></table>')
