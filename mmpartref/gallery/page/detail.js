'use strict';
// One card enlarged: photo, truth, prediction and heat map side by side, with figures.
Gallery.detail = (() => {
  const {element, byId, css, load, masks, panels, modes} = Gallery;
  // A section of the photo is never narrower than this many of its pixels.
  const LEAST_SECTION = 64;

  function create(content, mode) {
    let shown = null;
    let zoomed = false;

    function loadPhoto(number) {
      return new Promise((resolve, reject) => {
        const photo = new Image();
        photo.onload = () => resolve(photo);
        photo.onerror = () => reject(new Error(`photos/${number}.jpg is missing: copy the whole folder of the gallery.`));
        photo.src = `photos/${number}.jpg`;
      });
    }

    async function loadMasks(entry) {
      const [, height, width] = content.photos[entry.photo];
      const names = content.mode === 'versus' ? ['photos', content.thumbs] : ['photos'];
      const all = await Promise.all(names.map((name) => load(`${name}/${entry.photo}`)));
      const own = all.map((items) => items[entry.item]);
      return {
        truth: masks.decode(own[0].truth, height, width),
        preds: own.map(({pred}) => masks.decode(pred, height, width)),
        heat: content.heat && own[0].heat && masks.greatest(own[0].heat, height, width),
      };
    }

    async function show(entry, found) {
      byId('detail-title').textContent = entry.text;
      byId('detail-place').textContent = `${found.indexOf(entry) + 1} of ${found.length}`;
      byId('detail-problem').textContent = '';
      fillFigures(entry);
      if (!byId('detail').open) byId('detail').showModal();
      // Pictures of the last card must not stand below the name of this one; their room stays, so that nothing jumps.
      byId('panels').classList.add('loading');
      const wanted = {entry};
      shown = wanted;
      try {
        const [photo, decoded] = await Promise.all([loadPhoto(entry.photo), loadMasks(entry)]);
        // Somebody may have gone on to the next one meanwhile.
        if (shown !== wanted) return;
        shown = {entry, photo, masks: decoded, panels: mode.panels(content, entry, decoded)};
        build();
      } catch (error) {
        if (shown !== wanted) return;
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
      if (!shown || !shown.photo) return;
      const [, height, width] = content.photos[shown.entry.photo];
      const box = masks.boxAround([shown.masks.truth, ...shown.masks.preds], LEAST_SECTION);
      const button = byId('zoom');
      button.disabled = !box;
      button.setAttribute('aria-pressed', String(zoomed && box !== null));
      const view = zoomed && box ? box : {x: 0, y: 0, w: width, h: height};
      const canvases = byId('panels').querySelectorAll('canvas');
      shown.panels.filter((panel) => !panel.missing).forEach((panel, place) => {
        panels.draw(canvases[place], view, [{...panel, photo: shown.photo, size: {height, width}},
                                            ...panel.layers]);
      });
    }

    // The colours of the heat map with their scores: a step per level, or a ramp.
    function heatScale() {
      const {levels, colours, kind, note} = content.heat;
      const steps = kind === 'levels' ? levels : Array.from({length: 21}, (_, number) => number / 20);
      const strip = element('span', {class: 'strip', 'aria-hidden': 'true'}, ...steps.map((level) => {
        const step = element('span');
        step.style.background = css(panels.heatColour(level, colours));
        return step;
      }));
      const ends = [steps[0], steps[steps.length - 1]].map((level) => element('span', {}, modes.digits(level)));
      return [element('div', {class: 'scale'}, ends[0], strip, ends[1]), element('p', {}, note)];
    }

    function fillFigures(entry) {
      const about = [['super-category', entry.super || '(none)'], ['part', entry.part], ['ref_id', entry.ref],
                     ['photo', content.photos[entry.photo][0]],
                     ['true area', entry.there ? `${modes.pixels(entry.truth)} (${entry.size})` : 'not in the photo'],
                     ...(entry.there ? [] : [['absent', entry.absent]]),
                     ['annotations', String(entry.anns)],
                     ...(entry.also === undefined ? [] : [[`asked of ${content.names[1]}`, `“${entry.also}”`]])];
      const models = entry.figures.map((figures, place) => [
        content.names[place],
        [['IoU', figures.iou.toFixed(4)], ['failure kind', figures.kind], ['predicted area', modes.pixels(figures.area)],
         ['shared with the truth', modes.pixels(figures.inter)], ['score', figures.score.toFixed(3)],
         ...(figures.presence === null ? [] : [['presence', figures.presence.toFixed(3)]])],
      ]);
      byId('figures').replaceChildren(...[['Expression', about], ...models].map(([title, pairs]) => element(
        'section', {}, element('h3', {}, title), element('dl', {}, ...pairs.flatMap(
          ([name, value]) => [element('dt', {}, name), element('dd', {}, value)])))));
    }

    // The dialog's buttons and keys; step(by) goes through the cards, leave() closes.
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
