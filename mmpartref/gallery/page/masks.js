'use strict';
// Masks: compressed COCO RLEs, decoded to one byte per pixel in row-major order.
Gallery.masks = (() => {
  const BITS = 5;

  // Little-endian groups of 5 bits; bit 5 is the continuation flag, bit 4 of the last group the sign. From the fourth
  // on, a length is stored as the difference from the last but one.
  function runLengths(counts) {
    const lengths = [];
    let place = 0;
    while (place < counts.length) {
      let value = 0;
      let shift = 0;
      let code;
      do {
        code = counts.charCodeAt(place++) - 48;
        value |= (code & 31) << shift;
        shift += BITS;
      } while (code & 32);
      if (code & 16 && shift < 32) value |= -1 << shift;
      if (lengths.length > 2) value += lengths[lengths.length - 2];
      lengths.push(value);
    }
    return lengths;
  }

  // Calls paint(first row, column, rows) for each vertical run of the mask.
  function forEachRun(counts, height, paint) {
    let at = 0;
    runLengths(counts).forEach((length, number) => {
      let left = number % 2 ? length : 0;
      let from = at;
      while (left > 0) {
        const row = from % height;
        const rows = Math.min(left, height - row);
        paint(row, (from - row) / height, rows);
        from += rows;
        left -= rows;
      }
      at += length;
    });
  }

  function decode(counts, height, width) {
    const data = new Uint8Array(height * width);
    forEachRun(counts, height, (row, column, rows) => {
      for (let y = row; y < row + rows; y++) data[y * width + column] = 1;
    });
    return {data, height, width};
  }

  // The greatest score of the masks that cover a pixel; -1 without a mask.
  function maximum(scored, height, width) {
    const data = new Float32Array(height * width).fill(-1);
    const rising = [...scored].sort((one, other) => one[0] - other[0]);
    for (const [score, counts] of rising) {
      forEachRun(counts, height, (row, column, rows) => {
        for (let y = row; y < row + rows; y++) data[y * width + column] = score;
      });
    }
    return {data, height, width, count: scored.length};
  }

  // The masks of an entry: the truth, a prediction per model, and on request the heat map, if there is one.
  async function ofEntry(content, entry, heat = false) {
    const [, height, width] = content.images[entry.image];
    const names = content.mode === 'comparison' ? ['images', content.thumbs] : ['images'];
    const all = await Promise.all(names.map((name) => Gallery.load(`${name}/${entry.image}`)));
    const own = all.map((items) => items[entry.item]);
    return {
      truth: decode(own[0].truth, height, width),
      preds: own.map(({pred}) => decode(pred, height, width)),
      heat: heat && own[0].heat && maximum(own[0].heat, height, width),
    };
  }

  // Calls line(at, start, end) for each straight piece of the border of a mask between the lines at - 1 and at.
  function forEachPiece(lines, length, differs, line) {
    for (let at = 1; at < lines; at++) {
      for (let start = 0; start < length; start++) {
        if (!differs(at, start)) continue;
        let end = start + 1;
        while (end < length && differs(at, end)) end++;
        line(at, start, end);
        start = end;
      }
    }
  }

  // The border between a cropped mask and the rest of the image as a path in it; the image border is not part of it.
  function border({data, height, width, x: left, y: top}) {
    const path = new Path2D();
    const piece = (fromX, fromY, toX, toY) => {
      path.moveTo(left + fromX, top + fromY);
      path.lineTo(left + toX, top + toY);
    };
    forEachPiece(height, width, (y, x) => data[y * width + x] !== data[(y - 1) * width + x],
                 (y, start, end) => piece(start, y, end, y));
    forEachPiece(width, height, (x, y) => data[y * width + x] !== data[y * width + x - 1],
                 (x, start, end) => piece(x, start, x, end));
    return path;
  }

  // The mean [x, y] of the pixels of a cropped mask, in the image.
  function centre({data, width, x, y}) {
    let [count, across, down] = [0, 0, 0];
    for (let place = 0; place < data.length; place++) {
      if (!data[place]) continue;
      count++;
      across += place % width;
      down += Math.floor(place / width);
    }
    return [x + across / count + 0.5, y + down / count + 0.5];
  }

  // First and last column and row of the pixels of all masks; null if all are empty.
  function bounds(masks) {
    const {height, width} = masks[0];
    let [left, top, right, bottom] = [width, height, -1, -1];
    for (const {data} of masks) {
      for (let place = 0; place < data.length; place++) {
        if (!data[place]) continue;
        const x = place % width;
        const y = (place - x) / width;
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
    }
    return right < 0 ? null : {left, top, right, bottom};
  }

  // The part of a mask that is not empty, with a margin of a pixel inside the image, at column x and row y; null if all
  // of it is empty.
  function crop(mask) {
    const box = bounds([mask]);
    if (!box) return null;
    const [x, y] = [Math.max(0, box.left - 1), Math.max(0, box.top - 1)];
    const width = Math.min(mask.width, box.right + 2) - x;
    const height = Math.min(mask.height, box.bottom + 2) - y;
    const data = new Uint8Array(width * height);
    for (let row = 0; row < height; row++) {
      const start = (y + row) * mask.width + x;
      data.set(mask.data.subarray(start, start + width), row * width);
    }
    return {data, height, width, x, y};
  }

  // The box around all masks with a margin, in the aspect ratio of the image; null if all are empty.
  function boxAround(masks, minSide) {
    const {height, width} = masks[0];
    const box = bounds(masks);
    if (!box) return null;
    const {left, top, right, bottom} = box;
    const share = Math.min(1, Math.max((right - left + 1) * 1.6 / width, (bottom - top + 1) * 1.6 / height,
                                       minSide / Math.max(width, height)));
    const [w, h] = [width * share, height * share];
    const clamp = (value, most) => Math.max(0, Math.min(most, value));
    return {x: clamp((left + right + 1 - w) / 2, width - w), y: clamp((top + bottom + 1 - h) / 2, height - h), w, h};
  }

  return {decode, maximum, ofEntry, border, centre, crop, boxAround, runLengths};
})();
