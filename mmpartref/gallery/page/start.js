'use strict';
// Builds the page and synchronises it with its URL.
(() => {
  const {element, byId, load, modes, panels, swatch} = Gallery;

  function fillHeader(content, mode) {
    const pages = content.pages.length > 1 ? content.pages : [];
    const here = `${document.body.dataset.page}.html`;
    byId('pages').hidden = !pages.length;
    byId('pages').append(...pages.map(([file, title]) => element('a', {
      href: file, 'aria-current': file === here ? 'page' : false}, title)));
    byId('summary').append(...content.summary.map(([name, value]) => element(
      'div', {}, element('dt', {}, name), element('dd', {}, value))));
    const heat = content.heat || {note: '', missing: ''};
    const paragraphs = (texts) => texts.filter(Boolean).map((text) => element('p', {}, text));
    byId('models').append(...content.models.map((text, place) => element(
      'p', {}, element('strong', {}, content.names[place]), text ? `: ${text}` : '')), ...paragraphs([heat.note]));
    byId('notes').append(...paragraphs([...content.notes, heat.missing]));
    const {length} = byId('notes').children;
    byId('more').textContent = `Details, ${length} ${length === 1 ? 'note' : 'notes'}`;
    const legend = (items) => items.map(([shape, colour, text]) => element(
      'li', {}, swatch(shape, content.colours[colour]), modes.withNames(text, content)));
    byId('legend').append(...legend(mode.legend));
    // The lines have their colours on the buttons that hide them.
    const fills = mode.legend.filter(([shape]) => shape === 'fill');
    byId('detail-legend').append(...legend(fills));
    byId('detail-legend').hidden = !fills.length;
    byId('kinds').append(...Object.entries(content.kinds).flatMap(
      ([kind, meaning]) => [element('dt', {}, kind), element('dd', {}, meaning)]));
  }

  // Buttons in both dialogs that hide the truth or a prediction.
  function addSwitches(content, redraw) {
    for (const place of document.querySelectorAll('.switches')) {
      place.append(...modes.switches(content).map(([of, label, key]) => {
        const button = element('button', {type: 'button', 'aria-pressed': 'true', 'aria-keyshortcuts': key, 'data-switch': of},
                               swatch('line', content.colours[of]), label);
        button.addEventListener('click', () => {
          if (!panels.hidden.delete(of)) panels.hidden.add(of);
          for (const each of document.querySelectorAll(`[data-switch=${of}]`)) {
            each.setAttribute('aria-pressed', String(!panels.hidden.has(of)));
          }
          redraw();
        });
        return button;
      }));
    }
  }

  // A key presses the button or link that names it, of the topmost dialog or of the page.
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest('input:not([type=checkbox]), select, textarea')) return;
    const root = [...document.querySelectorAll('dialog[open]')].pop() || document.querySelector('header');
    const target = [...root.querySelectorAll('[aria-keyshortcuts]')].find(
      (each) => each.getAttribute('aria-keyshortcuts') === event.key);
    if (!target) return;
    event.preventDefault();
    target.click();
  }

  function attachPage() {
    byId('more').addEventListener('click', () => {
      byId('about').hidden = !byId('about').hidden;
      byId('more').setAttribute('aria-expanded', String(!byId('about').hidden));
    });
    for (const button of document.querySelectorAll('.help-open')) {
      button.addEventListener('click', () => byId('help').showModal());
    }
    for (const button of document.querySelectorAll('.close')) {
      button.addEventListener('click', () => button.closest('dialog').close());
    }
    document.addEventListener('keydown', onKey);
    // The sticky filters must not cover what gets the focus.
    new ResizeObserver(() => {
      document.documentElement.style.scrollPaddingTop = `${byId('controls').offsetHeight + 8}px`;
    }).observe(byId('controls'));
  }

  function start(content) {
    const mode = modes[content.mode];
    const entries = modes.entriesOf(content);
    const keys = Object.fromEntries(mode.filters(content).map(({key}) => [key, '']));
    const address = Gallery.address.reader({sort: Object.keys(mode.sorts)[0], ...keys});
    const list = Gallery.list.create(content, mode, entries, address);
    const charts = Gallery.charts.create(content, list, change);
    const detail = Gallery.detail.create(content, mode);
    const imageView = Gallery.imageView.create(content, mode, entries);
    let state = address.read();
    let found = [];
    let drawn = null;

    function change(changes) {
      state = {...state, ...changes};
      address.replace(state);
      show();
    }

    function show() {
      // Opening a card or an image does not change the list.
      const view = address.hashOf({...state, open: '', image: ''});
      if (view !== drawn) {
        found = list.select(state);
        list.render(state, found, change);
        charts.render(state);
        drawn = view;
      }
      const entry = state.open && found.find(({id}) => id === state.open);
      if (state.open && !entry) list.notFound(`card ${state.open}`);
      const image = state.image && !entry ? imageView.indexOf(state.image) : -1;
      if (state.image && !entry && image < 0) list.notFound(`image ${state.image}`);
      if (!entry && byId('detail').open) byId('detail').close();
      if (image < 0 && byId('image').open) byId('image').close();
      if (entry) {
        byId('to-image').href = list.addressOfImage(state, entry);
        detail.show(entry, found);
      } else if (image >= 0) imageView.show(image, addressOf);
    }

    // The address of a card, without the filters if they exclude it.
    const addressOf = (entry) => address.hashOf({
      ...(found.includes(entry) ? state : {...address.defaults, sort: state.sort}), image: '', open: entry.id});
    const opened = () => found.findIndex(({id}) => id === state.open);
    const images = () => [...new Set(found.map(({image}) => image))];

    // Closes the dialogs and moves the focus to a card.
    function leaveTo(entry) {
      change({open: '', image: '', ...(entry ? {page: list.pageWith(found, entry)} : {})});
      if (entry) byId(`card-${entry.number}`).focus();
    }

    function attach() {
      detail.attach({
        step(by) {
          const next = found[opened() + by];
          if (next) change({open: next.id});
        },
        leave() {
          if (found[opened()]) leaveTo(found[opened()]);
        },
      });
      imageView.attach({
        step(by) {
          const next = images()[images().indexOf(imageView.indexOf(state.image)) + by];
          if (next !== undefined) change({image: String(content.images[next][3])});
        },
        leave() {
          const index = imageView.indexOf(state.image);
          if (index >= 0) leaveTo(found.find(({image}) => image === index));
        },
        copy: list.copyIds,
      });
      byId('copy').addEventListener('click', ({target}) => list.copyIds(found, target));
      window.addEventListener('hashchange', () => {
        state = address.read();
        show();
      });
    }

    const redraw = () => {
      detail.draw();
      imageView.draw();
    };
    list.buildForm(change);
    fillHeader(content, mode);
    addSwitches(content, redraw);
    window.addEventListener('resize', redraw);
    attachPage();
    attach();
    byId('controls').open = byId('charts').open = window.innerWidth >= 700;
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
