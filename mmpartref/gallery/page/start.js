'use strict';
// Builds the page and synchronises it with its URL.
(() => {
  const {element, byId, css, load, modes} = Gallery;

  function fillHeader(content, mode) {
    const pages = content.pages.length > 1 ? content.pages : [];
    const here = `${document.body.dataset.page}.html`;
    byId('pages').hidden = !pages.length;
    byId('pages').append(...pages.map(([file, title]) => element('a', {
      href: file, 'aria-current': file === here ? 'page' : false}, title)));
    byId('about').append(...content.models.map((text, place) => element(
      'p', {}, element('strong', {}, content.names[place]), text ? `: ${text}` : '')));
    byId('summary').append(...content.summary.map(([name, value]) => element(
      'div', {}, element('dt', {}, name), element('dd', {}, value))));
    // Notes on missing data are always visible, other notes are in the details.
    const heat = content.heat || {note: '', missing: ''};
    const paragraphs = (texts) => texts.filter(Boolean).map((text) => element('p', {}, text));
    byId('about').append(...paragraphs([heat.note]));
    byId('notes').append(...paragraphs([...content.notes, heat.missing]));
    byId('legend').append(...mode.legend.map(([shape, colour, text]) => {
      const swatch = element('span', {class: `swatch ${shape}`, 'aria-hidden': 'true'});
      swatch.style[shape === 'line' ? 'borderColor' : 'background'] = css(content.colours[colour]);
      return element('li', {}, swatch, modes.withNames(text, content));
    }));
  }

  function start(content) {
    const mode = modes[content.mode];
    const entries = modes.entriesOf(content);
    const keys = Object.fromEntries(mode.filters(content).map(({key}) => [key, '']));
    const address = Gallery.address.reader({sort: Object.keys(mode.sorts)[0], ...keys});
    const list = Gallery.list.create(content, mode, entries, address);
    const detail = Gallery.detail.create(content, mode);
    let state = address.read();
    let found = [];
    let drawn = null;

    function change(changes) {
      state = {...state, ...changes};
      address.replace(state);
      show();
    }

    function show() {
      // Opening a card does not change the list.
      const view = address.hashOf({...state, open: ''});
      if (view !== drawn) {
        found = list.select(state);
        list.render(state, found, change);
        drawn = view;
      }
      const entry = state.open && found.find(({id}) => id === state.open);
      if (state.open && !entry) list.notFound(state.open);
      if (entry) detail.show(entry, found);
      else if (byId('detail').open) byId('detail').close();
    }

    const opened = () => found.findIndex(({id}) => id === state.open);

    list.buildForm(change);
    detail.attach({
      step(by) {
        const next = found[opened() + by];
        if (next) change({open: next.id});
      },
      leave() {
        const entry = found[opened()];
        if (!entry) return;
        change({open: '', page: list.pageWith(found, entry)});
        byId(`card-${entry.number}`).focus();
      },
    });
    window.addEventListener('hashchange', () => {
      state = address.read();
      show();
    });
    fillHeader(content, mode);
    byId('controls').open = byId('about').open = window.innerWidth >= 700;
    show();
  }

  byId('skip').addEventListener('click', (event) => {
    event.preventDefault();
    byId('cards').focus();
  });
  load(document.body.dataset.page).then(start).catch((error) => {
    byId('status').className = 'problem';
    byId('status').textContent = error.message;
  });
})();
