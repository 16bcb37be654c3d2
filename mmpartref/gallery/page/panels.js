'use strict';
// Drawing of the image with masks on a canvas, at any size and section.
Gallery.panels = (() => {
  const {css} = Gallery;
  const DARK = 'rgb(24, 24, 24)';
  // In CSS pixels: height of a label; widths of the dark rims of a line and of its colour.
  const [LABEL_SIZE, RIM, BRIGHT] = [16, 1.5, 2];
  // Opacity of the white under a heat map, whose low end is dark, as many images are.
  const PALE = 0.4;

  // Names of the layers that are not drawn: 'truth', 'first', 'second'.
  const hidden = new Set();

  function canvasOf(width, height) {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    return canvas;
  }

  // A canvas of the mask's size; colourOf(place) is [red, green, blue] or null.
  function painted({height, width}, colourOf, alpha) {
    const canvas = canvasOf(width, height);
    const context = canvas.getContext('2d');
    const image = context.createImageData(width, height);
    for (let place = 0; place < height * width; place++) {
      const colour = colourOf(place);
      if (!colour) continue;
      image.data.set(colour, 4 * place);
      image.data[4 * place + 3] = 255 * alpha;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  function silhouette(mask, colour, alpha = 1) {
    return painted(mask, (place) => (mask.data[place] ? colour : null), alpha);
  }

  // The layer of the line along the border of a mask, null if it is empty. Cropped, because the view of an image has
  // many.
  function line(mask, colour, inside) {
    const part = Gallery.masks.crop(mask);
    return part && {path: Gallery.masks.border(part), cut: silhouette(part, colour), part, at: Gallery.masks.centre(part),
                    colour, inside};
  }

  // Colour of a score between 0 and 1.
  function heatColour(score, stops) {
    const at = Math.max(0, Math.min(1, score)) * (stops.length - 1);
    const first = Math.min(stops.length - 2, Math.floor(at));
    return stops[first].map((value, channel) => Math.round(value + (at - first) * (stops[first + 1][channel] - value)));
  }

  function heat(scores, stops, alpha) {
    return painted(scores, (place) => (scores.data[place] < 0 ? null : heatColour(scores.data[place], stops)), alpha);
  }

  // Layers are {image, size, grey, pale}, {fill: canvas of the mask's size}, what line() returns or {label, at, colour}.
  // A layer with ``of`` is hidden while its name is in ``hidden``.
  function draw(canvas, view, layers) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(width * view.h / view.w));
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d');
    for (const layer of layers.filter(({of}) => !hidden.has(of))) {
      if (layer.image) drawImage(context, layer, view, width, height);
      if (layer.fill) drawMask(context, layer.fill, view, width, height);
      if (layer.path) drawLine(context, layer, view, width, height, ratio);
      if (layer.label) drawLabel(context, layer, view, width, height, ratio);
    }
  }

  function drawImage(context, {image, grey, pale, size}, view, width, height) {
    const scale = image.naturalWidth / size.width;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = 'high';
    context.drawImage(image, view.x * scale, view.y * scale, view.w * scale, view.h * scale, 0, 0, width, height);
    if (grey || pale) {
      context.globalCompositeOperation = 'saturation';
      context.fillStyle = '#808080';
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = 'source-over';
    }
    if (pale) {
      context.fillStyle = `rgb(255 255 255 / ${PALE})`;
      context.fillRect(0, 0, width, height);
    }
  }

  // x, y: place of the canvas in the image.
  function drawMask(context, canvas, view, width, height, x = 0, y = 0) {
    const [across, down] = [width / view.w, height / view.h];
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, (x - view.x) * across, (y - view.y) * down, canvas.width * across, canvas.height * down);
  }

  // A bright line with a dark rim on both sides along the border of the mask. From the outside: rim, truth, rim, which is
  // the border, prediction, rim. So two equal masks have two lines, and a prediction of a few pixels is bright.
  function drawLine(context, {path, cut, part, colour, inside}, view, width, height, ratio) {
    const [across, down] = [width / view.w, height / view.h];
    const start = inside ? 0 : RIM;
    const margin = (start + BRIGHT + RIM) * ratio;
    const clamp = (value, most) => Math.max(0, Math.min(most, value));
    const left = clamp(Math.floor((part.x - view.x) * across - margin), width);
    const top = clamp(Math.floor((part.y - view.y) * down - margin), height);
    const right = clamp(Math.ceil((part.x + part.width - view.x) * across + margin), width);
    const bottom = clamp(Math.ceil((part.y + part.height - view.y) * down + margin), height);
    if (left === right || top === bottom) return;
    const layer = canvasOf(right - left, bottom - top);
    const on = layer.getContext('2d');
    on.translate(-left, -top);
    const placed = new Path2D();
    placed.addPath(path, new DOMMatrix([across, 0, 0, down, -view.x * across, -view.y * down]));
    on.lineCap = 'round';
    // Up to a distance from the border, on both sides of it.
    const stroke = (shade, distance) => {
      on.strokeStyle = shade;
      on.lineWidth = 2 * distance * ratio;
      on.stroke(placed);
    };
    stroke(DARK, start + BRIGHT + RIM);
    stroke(css(colour), start + BRIGHT);
    if (!inside) stroke(DARK, RIM);
    on.globalCompositeOperation = inside ? 'destination-in' : 'destination-out';
    drawMask(on, cut, view, width, height, part.x, part.y);
    on.globalCompositeOperation = 'destination-over';
    if (inside) stroke(DARK, RIM);
    context.drawImage(layer, left, top);
  }

  function drawLabel(context, {label, at: [x, y], colour}, view, width, height, ratio) {
    const place = [(x - view.x) * width / view.w, (y - view.y) * height / view.h];
    context.font = `700 ${LABEL_SIZE * ratio}px system-ui, sans-serif`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.lineJoin = 'round';
    context.lineWidth = 4 * ratio;
    context.strokeStyle = DARK;
    context.strokeText(label, ...place);
    context.fillStyle = css(colour);
    context.fillText(label, ...place);
  }

  return {silhouette, painted, heat, heatColour, line, draw, hidden};
})();
