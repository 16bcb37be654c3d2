'use strict';
// The two kinds of pages, one model or a comparison of two: sort keys, filters and panels.
Gallery.modes = (() => {
  // Size of a part that is not in the image.
  const ABSENT = 'absent';
  const sizeOf = (entry) => (entry.present ? entry.size : ABSENT);
  const percent = (value) => (100 * value).toFixed(2);
  const signed = (value) => (value > 0 ? '+' : value < 0 ? '−' : '±') + percent(Math.abs(value));
  const pixels = (count) => `${count.toLocaleString('en')} px`;
  // First minus second, as in tools/compare.py.
  const difference = (entry) => entry.metrics[0].iou - entry.metrics[1].iou;
  const order = {
    'area': {label: 'true area, small first', by: (entry) => entry.truth},
    '-area': {label: 'true area, large first', by: (entry) => -entry.truth},
    'image': {label: 'image', by: (entry) => entry.number},
  };

  // The entries of the page from the lists of values per expression.
  function entriesOf(content) {
    const named = (values) => Object.fromEntries(content.metrics.map((name, place) => [name, values[place]]));
    const seen = new Map();
    return content.entries.map(([image, item, query, ...metrics], number) => {
      const times = (seen.get(query.ref) || 0) + 1;
      seen.set(query.ref, times);
      return {...query, id: times > 1 ? `${query.ref}~${times}` : query.ref, number, image, item,
              present: query.absent === undefined, name: `${query.super} ${query.part}`.trim(),
              metrics: metrics.map(named)};
    });
  }

  // Steps of the IoU in percent, e.g. '30-40'; an IoU of 1 is in the last.
  const STEPS = Array.from({length: 10}, (_, number) => `${10 * number}-${10 * number + 10}`);
  const stepNames = Object.fromEntries(STEPS.map((step) => [step, step.replace('-', ' to ')]));

  // Filter by the IoU of a model; the page has a histogram for each. Absent parts are in no step.
  const iouFilter = (key, label, model) => ({
    key, label, model, values: STEPS, names: stepNames,
    of: (entry) => (entry.present ? STEPS[Math.min(9, Math.floor(10 * entry.metrics[model].iou))] : null),
  });

  // Layers that can be hidden: name, label, key.
  const switches = (content) => [
    ['truth', 'Truth', 't'],
    ...(content.mode === 'single' ? [['first', 'Prediction', 'p']]
      : [['first', content.names[0], 'p'], ['second', content.names[1], 's']]),
  ];

  function commonFilters(content) {
    return [
      {key: 'super', label: 'Super-category', of: (entry) => entry.super},
      {key: 'part', label: 'Part', of: (entry) => entry.part},
      {key: 'size', label: 'Mask size', of: sizeOf, values: [...content.sizes, ABSENT]},
    ];
  }

  // Replaces $1 and $2 by the names of the two models.
  const withNames = (text, content) => text.replace(/\$([12])/g, (_, number) => content.names[number - 1]);
  const mean = (values) => (values.length ? percent(values.reduce((sum, value) => sum + value, 0) / values.length) : '–');
  const rgb = (content, name) => content.colours[name];

  // Layers of a mask, ``of`` is 'truth', 'first' or 'second': a transparent fill, and a line outside the truth or inside
  // a prediction.
  const filled = (content, mask, of) => ({of, fill: Gallery.panels.silhouette(mask, rgb(content, of), content.alpha.mask)});
  const lined = (content, mask, of) => ({of, ...Gallery.panels.line(mask, rgb(content, of), of !== 'truth')});

  function truthPanel(content, entry, masks, line) {
    return {title: entry.present ? 'Truth' : 'Truth: not in the image', text: `Truth, ${pixels(entry.truth)}.`,
            layers: [filled(content, masks.truth, 'truth'), line]};
  }

  function overview(content, label, mask, truthLine, of) {
    return {title: mask.data.includes(1) ? label : `${label}: empty`, text: `${label}, filled and outlined; truth outlined.`,
            layers: [filled(content, mask, of), truthLine, lined(content, mask, of)]};
  }

  const single = {
    // Index of the panel that is large at first.
    large: 2,
    sorts: {
      'iou': {label: 'IoU, worst first', by: (entry) => entry.metrics[0].iou},
      '-iou': {label: 'IoU, best first', by: (entry) => -entry.metrics[0].iou},
      ...order,
    },
    filters: (content) => [
      ...commonFilters(content),
      {key: 'kind', label: 'Failure kind', of: (entry) => entry.metrics[0].kind,
       values: Object.keys(content.kinds)},
      iouFilter('iou', 'IoU', 0),
    ],
    legend: [['line', 'truth', 'truth'], ['line', 'first', 'prediction']],
    describe(found) {
      return `mean IoU ${mean(found.filter(({present}) => present).map((entry) => entry.metrics[0].iou))}`;
    },
    facts: (entry) => [`IoU ${percent(entry.metrics[0].iou)}`, entry.metrics[0].kind, sizeOf(entry)],
    bars: () => ['first'],
    alt: (entry) => `${entry.name}: truth outlined, prediction filled, IoU ${percent(entry.metrics[0].iou)}`,
    panels(content, entry, masks) {
      const truthLine = lined(content, masks.truth, 'truth');
      const found = [
        {title: 'Image', text: 'The image alone.', layers: []},
        truthPanel(content, entry, masks, truthLine),
        overview(content, 'Prediction', masks.preds[0], truthLine, 'first'),
      ];
      if (!masks.heat) return [...found, {title: 'Heat map', missing: content.heat.missing}];
      const layer = {fill: Gallery.panels.heat(masks.heat, content.heat.colours, 0.7)};
      return [...found, {title: masks.heat.count ? 'Heat map' : 'Heat map: no instance', text: content.heat.note,
                         pale: true, layers: [layer, truthLine]}];
    },
  };

  const comparison = {
    large: 3,
    sorts: {
      'change': {label: 'absolute IoU difference', by: (entry) => -Math.abs(difference(entry))},
      'first': {label: '$1 better, largest difference first', by: (entry) => -difference(entry)},
      'second': {label: '$2 better, largest difference first', by: difference},
      ...order,
    },
    filters: (content) => [
      ...commonFilters(content),
      {key: 'better', label: 'Better', of: (entry) => ['second', 'equal', 'first'][Math.sign(difference(entry)) + 1],
       values: ['first', 'equal', 'second'], names: {first: content.names[0], second: content.names[1]}},
      ...content.names.map((name, place) => ({
        key: `kind${place + 1}`, label: `Failure kind, ${name}`, of: (entry) => entry.metrics[place].kind,
        values: Object.keys(content.kinds),
      })),
      ...content.names.map((name, place) => iouFilter(`iou${place + 1}`, `IoU, ${name}`, place)),
    ],
    legend: [['line', 'truth', 'truth'], ['fill', 'both', 'both right'], ['fill', 'first', 'only $1 right'],
             ['fill', 'second', 'only $2 right'], ['fill', 'neither', 'both wrong']],
    describe(found, content) {
      const entries = found.filter(({present}) => present);
      const better = (sign) => entries.filter((entry) => Math.sign(difference(entry)) === sign).length;
      return [0, 1].map((place) => `${content.names[place]}: mean IoU `
        + `${mean(entries.map((entry) => entry.metrics[place].iou))}, better in ${better(place ? -1 : 1)}`).join('; ')
        + `; equal in ${better(0)}`;
    },
    facts: (entry) => [`IoU ${percent(entry.metrics[0].iou)} and ${percent(entry.metrics[1].iou)}`, signed(difference(entry)),
                       sizeOf(entry)],
    bars: () => ['first', 'second'],
    alt: (entry) => `${entry.name}: where the two models differ, IoU ${percent(entry.metrics[0].iou)} and `
      + percent(entry.metrics[1].iou),
    panels(content, entry, masks) {
      const {truth, preds: [one, other]} = masks;
      const truthLine = lined(content, truth, 'truth');
      const [t, a, b] = [truth.data, one.data, other.data];
      const colourOf = (place) => {
        if (!t[place] && !a[place] && !b[place]) return null;
        const [right, alsoRight] = [a[place] === t[place], b[place] === t[place]];
        const name = right ? (alsoRight ? 'both' : 'first') : (alsoRight ? 'second' : 'neither');
        return rgb(content, name);
      };
      const layer = {fill: Gallery.panels.painted(truth, colourOf, content.alpha.difference)};
      return [
        truthPanel(content, entry, masks, truthLine),
        overview(content, content.names[0], one, truthLine, 'first'),
        overview(content, content.names[1], other, truthLine, 'second'),
        {title: 'Where they differ', text: 'Coloured by which model is right; the pixels that one model gets '
          + 'right are its true positives and true negatives.', grey: true, layers: [layer, truthLine]},
      ];
    },
  };

  return {single, comparison, entriesOf, switches, lined, withNames, percent, pixels};
})();
