'use strict';
// Histograms of the IoU and bars per part. Each bar is a button that sets a filter, and clears it when pressed again.
Gallery.charts = (() => {
  const {element, byId, css, modes} = Gallery;
  const counted = (count) => `${count} ${count === 1 ? 'expression' : 'expressions'}`;

  function create(content, list, change) {
    const histograms = list.filters.filter(({model}) => model !== undefined);
    const colourOf = (model) => css(content.colours[['first', 'second'][model]]);

    function bar(filter, value, state, label, ...children) {
      const pressed = state[filter.key] === value;
      const made = element('button', {type: 'button', class: 'bar-button', 'aria-pressed': String(pressed),
                                      'aria-label': label, title: label, 'data-bar': `${filter.key} ${value}`}, ...children);
      made.addEventListener('click', () => change({[filter.key]: pressed ? '' : value, page: '1'}));
      return made;
    }

    function share(size, part, model) {
      const made = element('span', {class: 'part-share'});
      made.style[size] = `${100 * part}%`;
      made.style.background = colourOf(model);
      return made;
    }

    const group = (title, className, bars) => element(
      'section', {}, element('h3', {}, title), element('div', {class: className, role: 'group', 'aria-label': title}, ...bars));

    function histogram(filter, state) {
      const found = list.counts(filter, state);
      const counts = filter.values.map((value) => found.get(value) || 0);
      const most = Math.max(1, ...counts);
      return group(`Histogram: ${filter.label}, percent`, 'histogram', filter.values.map((value, place) => bar(
        filter, value, state, `${filter.label} ${filter.names[value]}: ${counted(counts[place])}`,
        element('span', {}, String(counts[place])),
        element('span', {class: 'column'}, share('height', counts[place] / most, filter.model)),
        element('span', {}, value.split('-')[0]))));
    }

    // Mean IoU of the parts, lowest first; absent parts have no share in it.
    function parts(state) {
      const filter = list.filters.find(({key}) => key === 'part');
      const found = new Map();
      for (const entry of list.matching(state, filter).filter(({present}) => present)) {
        found.set(entry.part, [...(found.get(entry.part) || []), entry]);
      }
      const meanOf = (entries, model) => entries.reduce((sum, entry) => sum + entry.metrics[model].iou, 0) / entries.length;
      const rows = [...found].map(([part, entries]) => ({part, entries, means: content.names.map(
        (_, model) => meanOf(entries, model))})).sort((one, other) => one.means[0] - other.means[0]);
      return group('Mean IoU of each part, percent', 'part-bars', rows.map(({part, entries, means}) => {
        const numbers = means.map(modes.percent);
        return bar(filter, part, state, `${part}: mean IoU ${numbers.join(' and ')}, ${counted(entries.length)}`,
                   element('span', {}, part),
                   element('span', {}, `${numbers.join(' and ')} (${entries.length})`),
                   element('span', {class: 'tracks'}, ...means.map((each, model) => share('width', each, model))));
      }));
    }

    function render(state) {
      // The buttons are made anew; the focus stays on the same bar.
      const {bar: focused} = document.activeElement.dataset;
      byId('charts-body').replaceChildren(...histograms.map((filter) => histogram(filter, state)), parts(state));
      const again = [...byId('charts-body').querySelectorAll('button')].find(({dataset}) => dataset.bar === focused);
      if (again) again.focus();
    }

    return {render};
  }

  return {create};
})();
