'use strict';
// The cards: sorted, filtered and divided into pages.
Gallery.list = (() => {
  const {element, byId, css} = Gallery;
  const PER_PAGE = 60;

  function create(content, mode, entries, address) {
    const filters = mode.filters(content);
    const perImage = new Map();
    for (const {image} of entries) perImage.set(image, (perImage.get(image) || 0) + 1);
    const idOf = (entry) => content.images[entry.image][3];
    const chosenBy = (filter, state, entry) => !state[filter.key] || filter.of(entry) === state[filter.key];

    // The entries that match the words and all filters but one.
    function matching(state, except) {
      const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
      return entries.filter((entry) => filters.every((filter) => filter === except || chosenBy(filter, state, entry))
        && words.every((word) => entry.text.toLowerCase().includes(word)));
    }

    function select(state) {
      const sort = mode.sorts[state.sort] || Object.values(mode.sorts)[0];
      return matching(state).sort((one, other) => sort.by(one) - sort.by(other) || one.number - other.number);
    }

    // The number of entries of each value of a filter, among those that match the other filters.
    function counts(filter, state) {
      const found = new Map();
      for (const entry of matching(state, filter)) found.set(filter.of(entry), (found.get(filter.of(entry)) || 0) + 1);
      return found;
    }

    const pagesOf = (found) => Math.max(1, Math.ceil(found.length / PER_PAGE));
    const pageOf = (state, found) => Math.min(pagesOf(found), Math.max(1, parseInt(state.page, 10) || 1));

    // An option with a count per value of the entries that match the other filters.
    function options(filter, state) {
      const found = counts(filter, state);
      const values = filter.values ? filter.values.filter((value) => found.has(value)) : [...found.keys()].sort();
      // The URL may have a value without entries: it stays visible with the count 0.
      if (state[filter.key] && !values.includes(state[filter.key])) values.push(state[filter.key]);
      const named = (value) => (filter.names && filter.names[value]) || value || '(none)';
      return [element('option', {value: ''}, `all (${matching(state, filter).length})`),
              ...values.map((value) => element('option', {value, selected: value === state[filter.key]},
                                               `${named(value)} (${found.get(value) || 0})`))];
    }

    function field(label, control) {
      control.id = `field-${control.name}`;
      return element('div', {class: 'field'}, element('label', {for: control.id}, label), control);
    }

    function buildForm(change) {
      const form = byId('filters');
      const sort = element('select', {name: 'sort'}, ...Object.entries(mode.sorts).map(
        ([value, {label}]) => element('option', {value}, Gallery.modes.withNames(label, content))));
      form.append(field('Sort by', sort));
      for (const filter of filters) form.append(field(filter.label, element('select', {name: filter.key})));
      form.append(field('Words in the expression', element('input', {name: 'q', type: 'search', autocomplete: 'off'})));
      form.append(element('button', {type: 'reset'}, 'Reset'));
      form.addEventListener('submit', (event) => event.preventDefault());
      form.addEventListener('change', ({target}) => {
        if (target.name === 'q') return;
        change({[target.name]: target.value, ...(target.name === 'super' ? {part: ''} : {}), page: '1'});
      });
      // Filter while the words are typed.
      byId('field-q').addEventListener('input', ({target}) => change({q: target.value, page: '1'}));
      form.addEventListener('reset', (event) => {
        event.preventDefault();
        change({...address.defaults});
      });
    }

    function fillForm(state) {
      for (const filter of filters) byId(`field-${filter.key}`).replaceChildren(...options(filter, state));
      byId('field-sort').value = state.sort in mode.sorts ? state.sort : Object.keys(mode.sorts)[0];
      if (byId('field-q').value !== state.q) byId('field-q').value = state.q;
      const active = filters.filter((filter) => state[filter.key]).length + (state.q ? 1 : 0);
      byId('active').textContent = active ? `(${active} ${active === 1 ? 'filter' : 'filters'})` : '';
    }

    function card(entry, state) {
      const [, height, width] = content.images[entry.image];
      const bars = mode.bars().map((colour, place) => {
        const bar = element('span', {class: 'share'});
        bar.style.width = `${100 * entry.metrics[place].iou}%`;
        bar.style.background = css(content.colours[colour]);
        return element('span', {class: 'meter', 'aria-hidden': 'true'}, bar);
      });
      const picture = element('img', {src: `${content.thumbs}/${entry.image}_${entry.item}.jpg`, loading: 'lazy',
                                      decoding: 'async', alt: mode.alt(entry), width, height});
      const facts = mode.facts(entry).map((fact) => element('span', {class: 'fact'}, fact));
      const count = perImage.get(entry.image);
      const toImage = count > 1 ? [element('a', {class: 'to-image', href: addressOfImage(state, entry)},
                                           `All ${count} expressions of the image`)] : [];
      return element('li', {}, element('a', {class: 'card', id: `card-${entry.number}`,
                                             href: address.hashOf({...state, open: entry.id})},
                                       picture, ...bars, element('span', {class: 'text'}, entry.text),
                                       element('span', {class: 'facts'}, ...facts)), ...toImage);
    }

    const addressOfImage = (state, entry) => address.hashOf({...state, open: '', image: String(idOf(entry))});

    // Copies image id and ref_id of each entry, a line each; where the browser does not allow it, shows the lines selected.
    async function copyIds(copied, button) {
      const lines = copied.map((entry) => `${idOf(entry)}\t${entry.ref}`).join('\n');
      try {
        await navigator.clipboard.writeText(lines);
        button.nextElementSibling.textContent = `${copied.length} copied`;
      } catch {
        byId('ids-text').value = lines;
        byId('ids').showModal();
        byId('ids-text').select();
      }
    }

    function pager(page, pages, change) {
      const turn = (label, to) => {
        const button = element('button', {type: 'button', disabled: to < 1 || to > pages || to === page}, label);
        button.addEventListener('click', () => {
          change({page: String(to)});
          byId('cards').focus();
          byId('status').scrollIntoView();
        });
        return button;
      };
      const number = element('input', {type: 'number', min: 1, max: pages, value: page, 'aria-label': 'Page'});
      number.addEventListener('change', () => change({page: number.value}));
      byId('pager').hidden = pages === 1;
      byId('pager').replaceChildren(turn('First', 1), turn('Previous', page - 1), number, ` of ${pages} `,
                                    turn('Next', page + 1), turn('Last', pages));
    }

    function render(state, found, change) {
      const [page, pages] = [pageOf(state, found), pagesOf(found)];
      const shown = found.slice((page - 1) * PER_PAGE, page * PER_PAGE);
      fillForm(state);
      byId('status').textContent = found.length
        ? `${found.length} of ${entries.length} expressions: ${mode.describe(found, content)}.`
        : `None of ${entries.length} expressions matches these filters.`;
      byId('copy').disabled = !found.length;
      byId('copied').textContent = '';
      byId('cards').start = (page - 1) * PER_PAGE + 1;
      byId('cards').replaceChildren(...shown.map((entry) => card(entry, state)));
      pager(page, pages, change);
    }

    function notFound(what) {
      byId('status').append(` The ${what} of the URL is not among them.`);
    }

    const pageWith = (found, entry) => String(Math.floor(found.indexOf(entry) / PER_PAGE) + 1);
    return {filters, matching, counts, select, render, buildForm, notFound, pageWith, addressOfImage, copyIds};
  }

  return {create};
})();
