'use strict';
// Drawing of the image with masks on a canvas, at any size and section.
Gallery.panels = (() => {
  const DARK = [24, 24, 24];
  const STAMPS = 16;
  // Opacity of the white under a heat map, whose low end is dark, as many images are.
  const PALE = 0.4;

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

  // Colour of a score between 0 and 1.
  function heatColour(score, stops) {
    const at = Math.max(0, Math.min(1, score)) * (stops.length - 1);
    const first = Math.min(stops.length - 2, Math.floor(at));
    return stops[first].map((value, channel) => Math.round(value + (at - first) * (stops[first + 1][channel] - value)));
  }

  function heat(scores, stops, alpha) {
    return painted(scores, (place) => (scores.data[place] < 0 ? null : heatColour(scores.data[place], stops)), alpha);
  }

  // Layers are {image, size, grey, pale}, {fill: canvas of the mask's size} or {outline: mask, colour}.
  function draw(canvas, view, layers) {
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(width * view.h / view.w));
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d');
    for (const layer of layers) {
      if (layer.image) drawImage(context, layer, view, width, height);
      if (layer.fill) drawMask(context, layer.fill, view, width, height);
      if (layer.outline) drawOutline(context, layer, view, width, height, ratio);
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

  function drawMask(context, canvas, view, width, height, dx = 0, dy = 0) {
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, view.x, view.y, view.w, view.h, dx, dy, width, height);
  }

  // A line around the mask, with a dark outer edge: its silhouette at offsets on a circle, minus the mask.
  function drawOutline(context, {outline, colour}, view, width, height, ratio) {
    const layer = canvasOf(width, height);
    const on = layer.getContext('2d');
    for (const [shade, radius] of [[DARK, 3 * ratio], [colour, 2 * ratio]]) {
      const stamp = silhouette(outline, shade);
      for (let number = 0; number < STAMPS; number++) {
        const angle = 2 * Math.PI * number / STAMPS;
        drawMask(on, stamp, view, width, height, radius * Math.cos(angle), radius * Math.sin(angle));
      }
    }
    on.globalCompositeOperation = 'destination-out';
    drawMask(on, silhouette(outline, DARK), view, width, height);
    context.drawImage(layer, 0, 0);
  }

  return {silhouette, painted, heat, heatColour, draw};
})();
