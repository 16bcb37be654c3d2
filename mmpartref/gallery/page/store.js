'use strict';
// Shared helpers, and the data: a page opened from disk cannot fetch JSON, but it can load scripts.
// Each file in data/ calls Gallery.receive with its name.
window.Gallery = (() => {
  const MAX_CACHED = 24;
  const waiting = new Map();
  const cached = new Map();

  function receive(name, content) {
    if (waiting.has(name)) waiting.get(name)(content);
  }

  function load(name) {
    if (cached.has(name)) return cached.get(name);
    const promise = new Promise((resolve, reject) => {
      const script = document.createElement('script');
      const file = `data/${name}.js`;
      const done = (settle, value) => {
        waiting.delete(name);
        script.remove();
        settle(value);
      };
      waiting.set(name, (content) => done(resolve, content));
      script.onerror = () => done(reject, new Error(`${file} is missing; copy the whole gallery folder.`));
      script.onload = () => {
        if (waiting.has(name)) done(reject, new Error(`${file} is damaged; make the gallery again.`));
      };
      script.src = file;
      document.head.append(script);
    });
    cached.set(name, promise);
    // Drop the oldest, so that long use does not fill the memory of a phone.
    if (cached.size > MAX_CACHED) cached.delete(cached.keys().next().value);
    return promise;
  }

  function loadImage(number) {
    return new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.onerror = () => reject(new Error(`images/${number}.jpg is missing; copy the whole gallery folder.`));
      image.src = `images/${number}.jpg`;
    });
  }

  // Creates elements from text, never from markup, because expressions are untrusted.
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === null) continue;
      made.setAttribute(name, value === true ? '' : value);
    }
    made.append(...children);
    return made;
  }

  const byId = (id) => document.getElementById(id);
  const css = (rgb) => `rgb(${rgb.join(', ')})`;

  // The sign of a colour in legends: a filled square, or with ``line`` a border with dark rims.
  function swatch(shape, rgb) {
    const made = element('span', {class: `swatch ${shape}`, 'aria-hidden': 'true'});
    made.style[shape === 'line' ? 'borderColor' : 'background'] = css(rgb);
    return made;
  }

  return {receive, load, loadImage, element, byId, css, swatch};
})();
