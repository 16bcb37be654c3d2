'use strict';
// Dialog of one image: all its expressions on one picture, whose masks can be hidden one by one.
Gallery.imageView = (() => {
  const {element, byId, loadImage, masks, panels, modes} = Gallery;

  function create(content, mode, entries) {
    const switches = modes.switches(content);
    let shown = null;

    // Index of the image with an img_id, -1 without one.
    const indexOf = (id) => content.images.findIndex(([, , , each]) => String(each) === id);
    const entriesOf = (index) => entries.filter(({image}) => image === index);

    // addressOf(entry): of its card.
    async function show(index, addressOf) {
      const [name, height, width, id] = content.images[index];
      const own = entriesOf(index);
      byId('image-title').textContent = name;
      byId('image-place').textContent = `image ${id}, ${own.length} ${own.length === 1 ? 'expression' : 'expressions'}`;
      byId('image-problem').textContent = '';
      byId('image-copy').nextElementSibling.textContent = '';
      byId('image-canvas').style.setProperty('--aspect', width / height);
      byId('image-canvas').setAttribute('aria-label', `${name}: truth and prediction of ${own.length} expressions outlined, `
        + 'with the numbers of the list.');
      byId('image-parts').replaceChildren(...own.map((entry, place) => row(entry, place, addressOf(entry))));
      if (!byId('image').open) byId('image').showModal();
      const current = {index};
      shown = current;
      try {
        const [image, decoded] = await Promise.all([
          loadImage(index), Promise.all(own.map((entry) => masks.ofEntry(content, entry)))]);
        if (shown !== current) return;
        Object.assign(current, {image, layers: decoded.flatMap(layersOf)});
        draw();
      } catch (error) {
        if (shown === current) byId('image-problem').textContent = error.message;
      }
    }

    // The lines of an entry's masks, with the number of its row in the list.
    function layersOf({truth, preds}, place) {
      return [truth, ...preds].map((mask, number) => {
        const line = modes.lined(content, mask, switches[number][0]);
        return {...line, place, label: String(place + 1)};
      });
    }

    function row(entry, place, href) {
      const boxes = switches.map(([of, label]) => {
        const box = element('input', {type: 'checkbox', checked: true, 'data-place': place, 'data-of': of});
        box.addEventListener('change', draw);
        return element('label', {}, box, label);
      });
      return element('li', {}, element('a', {href}, entry.text), element('p', {}, mode.facts(entry).join(', ')),
                     element('div', {class: 'boxes', role: 'group', 'aria-label': entry.text}, ...boxes));
    }

    const checkboxes = () => [...byId('image-parts').querySelectorAll('input')];

    function draw() {
      if (!shown || !shown.image) return;
      const checked = new Set(checkboxes().filter((box) => box.checked).map(({dataset}) => `${dataset.place} ${dataset.of}`));
      const [, height, width] = content.images[shown.index];
      const visible = shown.layers.filter(({place, of}) => checked.has(`${place} ${of}`) && !panels.hidden.has(of));
      // One number per entry, at the first of its visible masks that is not empty.
      const numbered = new Map(visible.filter(({at}) => at).reverse().map((layer) => [layer.place, layer]));
      panels.draw(byId('image-canvas'), {x: 0, y: 0, w: width, h: height}, [
        {image: shown.image, size: {height, width}},
        ...visible.map(({label, ...line}) => line),
        ...[...numbered.values()].map(({label, at, colour}) => ({label, at, colour})),
      ]);
    }

    // Buttons of the dialog; step(by) goes to another image, leave() closes it, copy(entries, button) copies ids.
    function attach({step, leave, copy}) {
      byId('image-previous').addEventListener('click', () => step(-1));
      byId('image-next').addEventListener('click', () => step(1));
      byId('image-copy').addEventListener('click', ({target}) => copy(entriesOf(shown.index), target));
      byId('image-all').addEventListener('click', () => {
        const all = checkboxes();
        const on = all.some((box) => !box.checked);
        for (const box of all) box.checked = on;
        draw();
      });
      byId('image').addEventListener('close', () => {
        shown = null;
        leave();
      });
    }

    return {indexOf, show, attach, draw};
  }

  return {create};
})();
