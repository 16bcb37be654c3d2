'use strict';
// Dialog of one card: image, truth, prediction and heat map, one of them as large as the window, with metrics.
Gallery.detail = (() => {
  const {element, byId, css, loadImage, masks, panels, modes} = Gallery;
  // Minimum side of a zoomed section, in image pixels.
  const MIN_SECTION = 64;

  function create(content, mode) {
    let shown = null;
    let zoomed = false;
    // Index of the large panel.
    let {large} = mode;

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
        const [image, decoded] = await Promise.all([loadImage(entry.image), masks.ofEntry(content, entry, Boolean(content.heat))]);
        // The user may have gone to another card.
        if (shown !== current) return;
        Object.assign(current, {image, masks: decoded, panels: mode.panels(content, entry, decoded)});
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
      const [, height, width] = content.images[entry.image];
      byId('panels').style.setProperty('--aspect', width / height);
      byId('panels').replaceChildren(...shown.panels.map((panel, place) => {
        if (panel.missing) {
          return element('figure', {class: 'missing'}, element('figcaption', {}, panel.title),
                         element('p', {}, panel.missing));
        }
        const enlarge = element('button', {type: 'button', title: 'Show large'}, panel.title);
        enlarge.addEventListener('click', () => {
          large = place;
          draw();
        });
        const label = `${panel.title} of “${entry.text}”. ${panel.text}`;
        return element('figure', {}, element('figcaption', {}, enlarge),
                       element('canvas', {role: 'img', 'aria-label': label}));
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
      const figures = [...byId('panels').children];
      const enlarged = shown.panels[large].missing ? mode.large : large;
      figures.forEach((figure, place) => {
        figure.classList.toggle('large', place === enlarged);
        figure.querySelector('button')?.setAttribute('aria-pressed', String(place === enlarged));
      });
      shown.panels.forEach((panel, place) => {
        if (panel.missing) return;
        panels.draw(figures[place].querySelector('canvas'), view,
                    [{...panel, image: shown.image, size: {height, width}}, ...panel.layers]);
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
        [['IoU', modes.percent(metrics.iou)], ['failure kind', metrics.kind],
         ['predicted area', modes.pixels(metrics.area)],
         ['intersection with the truth', modes.pixels(metrics.inter)], ['score', modes.percent(metrics.score)],
         ...(metrics.presence === null ? [] : [['presence', modes.percent(metrics.presence)]])],
        `${metrics.kind}: ${content.kinds[metrics.kind]}`,
      ]);
      byId('metrics').replaceChildren(...[['Expression', about, ''], ...models].map(([title, pairs, text]) => element(
        'section', {}, element('h3', {}, title), element('dl', {}, ...pairs.flatMap(
          ([name, value]) => [element('dt', {}, name), element('dd', {}, value)])), element('p', {}, text))));
    }

    // Buttons of the dialog; step(by) goes to another card, leave() closes it.
    function attach({step, leave}) {
      byId('previous').addEventListener('click', () => step(-1));
      byId('next').addEventListener('click', () => step(1));
      byId('zoom').addEventListener('click', () => {
        zoomed = !zoomed;
        draw();
      });
      byId('detail').addEventListener('close', () => {
        shown = null;
        leave();
      });
    }

    return {show, attach, draw};
  }

  return {create};
})();
