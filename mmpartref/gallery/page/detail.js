'use strict';
// Dialog of one card: image, truth, prediction and heat map side by side, with metrics.
Gallery.detail = (() => {
  const {element, byId, css, load, masks, panels, modes} = Gallery;
  // Minimum side of a zoomed section, in image pixels.
  const MIN_SECTION = 64;

  function create(content, mode) {
    let shown = null;
    let zoomed = false;

    function loadImage(number) {
      return new Promise((resolve, reject) => {
        const image = new Image();
        image.onload = () => resolve(image);
        image.onerror = () => reject(new Error(`images/${number}.jpg is missing; copy the whole gallery folder.`));
        image.src = `images/${number}.jpg`;
      });
    }

    async function loadMasks(entry) {
      const [, height, width] = content.images[entry.image];
      const names = content.mode === 'comparison' ? ['images', content.thumbs] : ['images'];
      const all = await Promise.all(names.map((name) => load(`${name}/${entry.image}`)));
      const own = all.map((items) => items[entry.item]);
      return {
        truth: masks.decode(own[0].truth, height, width),
        preds: own.map(({pred}) => masks.decode(pred, height, width)),
        heat: content.heat && own[0].heat && masks.maximum(own[0].heat, height, width),
      };
    }

    async function show(entry, found) {
      byId('detail-title').textContent = entry.text;
      byId('detail-place').textContent = `${found.indexOf(entry) + 1} of ${found.length}`;
      byId('detail-problem').textContent = '';
      fillMetrics(entry);
      if (!byId('detail').open) byId('detail').showModal();
      // Hide the pictures of the last card, without a change of the layout.
      byId('panels').classList.add('loading');
      const current = {entry};
      shown = current;
      try {
        const [image, decoded] = await Promise.all([loadImage(entry.image), loadMasks(entry)]);
        // The user may have gone to another card.
        if (shown !== current) return;
        shown = {entry, image, masks: decoded, panels: mode.panels(content, entry, decoded)};
        build();
      } catch (error) {
        if (shown !== current) return;
        byId('panels').classList.remove('loading');
        byId('panels').replaceChildren();
        byId('detail-problem').textContent = error.message;
      }
    }

    function build() {
      const {entry} = shown;
      byId('panels').replaceChildren(...shown.panels.map((panel) => {
        const caption = element('figcaption', {}, panel.title);
        if (panel.missing) return element('figure', {class: 'missing'}, caption, element('p', {}, panel.missing));
        const label = `${panel.title} of “${entry.text}”. ${panel.text}`;
        return element('figure', {}, caption, element('canvas', {role: 'img', 'aria-label': label}));
      }));
      const scale = byId('heat-scale');
      scale.replaceChildren(...(shown.masks.heat ? heatScale() : []));
      draw();
      byId('panels').classList.remove('loading');
    }

    function draw() {
      if (!shown || !shown.image) return;
      const [, height, width] = content.images[shown.entry.image];
      const box = masks.boxAround([shown.masks.truth, ...shown.masks.preds], MIN_SECTION);
      const button = byId('zoom');
      button.disabled = !box;
      button.setAttribute('aria-pressed', String(zoomed && box !== null));
      const view = zoomed && box ? box : {x: 0, y: 0, w: width, h: height};
      const canvases = byId('panels').querySelectorAll('canvas');
      shown.panels.filter((panel) => !panel.missing).forEach((panel, place) => {
        panels.draw(canvases[place], view, [{...panel, image: shown.image, size: {height, width}},
                                            ...panel.layers]);
      });
    }

    // The legend of the heat map: a step per level, or a ramp.
    function heatScale() {
      const {levels, colours, kind, note} = content.heat;
      const steps = kind === 'levels' ? levels : Array.from({length: 21}, (_, number) => number / 20);
      const strip = element('span', {class: 'strip', 'aria-hidden': 'true'}, ...steps.map((level) => {
        const step = element('span');
        step.style.background = css(panels.heatColour(level, colours));
        return step;
      }));
      const ends = [steps[0], steps[steps.length - 1]].map((level) => element('span', {}, modes.percent(level)));
      return [element('div', {class: 'scale'}, ends[0], strip, ends[1]), element('p', {}, note)];
    }

    function fillMetrics(entry) {
      const about = [['super-category', entry.super || '(none)'], ['part', entry.part], ['ref_id', entry.ref],
                     ['image', content.images[entry.image][0]],
                     ['true area', entry.present ? `${modes.pixels(entry.truth)} (${entry.size})` : 'not in the image'],
                     ...(entry.present ? [] : [['absent', entry.absent]]),
                     ['annotations', String(entry.anns)],
                     ...(entry.other_text === undefined ? []
                       : [[`expression, ${content.names[1]}`, `“${entry.other_text}”`]])];
      const models = entry.metrics.map((metrics, place) => [
        content.names[place],
        [['IoU', modes.percent(metrics.iou)], ['failure kind', metrics.kind], ['predicted area', modes.pixels(metrics.area)],
         ['intersection with the truth', modes.pixels(metrics.inter)], ['score', modes.percent(metrics.score)],
         ...(metrics.presence === null ? [] : [['presence', modes.percent(metrics.presence)]])],
      ]);
      byId('metrics').replaceChildren(...[['Expression', about], ...models].map(([title, pairs]) => element(
        'section', {}, element('h3', {}, title), element('dl', {}, ...pairs.flatMap(
          ([name, value]) => [element('dt', {}, name), element('dd', {}, value)])))));
    }

    // Buttons and keys of the dialog; step(by) goes to another card, leave() closes it.
    function attach({step, leave}) {
      const toggle = () => {
        zoomed = !zoomed;
        draw();
      };
      byId('previous').addEventListener('click', () => step(-1));
      byId('next').addEventListener('click', () => step(1));
      byId('zoom').addEventListener('click', toggle);
      byId('close').addEventListener('click', () => byId('detail').close());
      byId('detail').addEventListener('close', () => {
        shown = null;
        leave();
      });
      byId('detail').addEventListener('keydown', (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const action = {ArrowLeft: () => step(-1), ArrowRight: () => step(1), z: toggle}[event.key];
        if (action) {
          event.preventDefault();
          action();
        }
      });
      window.addEventListener('resize', draw);
    }

    return {show, attach};
  }

  return {create};
})();
