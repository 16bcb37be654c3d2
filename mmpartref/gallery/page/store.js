'use strict';
// What the other scripts share, and the data: a page opened from disk may not fetch JSON, but it may load scripts.
// Each file in data/ calls Gallery.receive with its own name.
window.Gallery = (() => {
  const KEPT = 24;
  const waiting = new Map();
  const kept = new Map();

  function receive(name, content) {
    if (waiting.has(name)) waiting.get(name)(content);
  }

  function load(name) {
    if (kept.has(name)) return kept.get(name);
    const promise = new Promise((resolve, reject) => {
      const script = document.createElement('script');
      const file = `data/${name}.js`;
      const done = (settle, value) => {
        waiting.delete(name);
        script.remove();
        settle(value);
      };
      waiting.set(name, (content) => done(resolve, content));
      script.onerror = () => done(reject, new Error(`${file} is missing: copy the whole folder of the gallery.`));
      script.onload = () => {
        if (waiting.has(name)) done(reject, new Error(`${file} is damaged: make the gallery again.`));
      };
      script.src = file;
      document.head.append(script);
    });
    kept.set(name, promise);
    // The oldest goes: a long look through the cards must not fill the memory of a phone.
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return promise;
  }

  // Elements are made from text, never from markup: expressions are whatever somebody wrote.
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

  return {receive, load, element, byId, css};
})();
