'use strict';
// The state of the page as the fragment of its URL, so that a view can be bookmarked or shared.
Gallery.address = (() => {
  const FIXED = {q: '', page: '1', open: '', image: ''};

  // keys: names and defaults of the state.
  function reader(keys) {
    const defaults = {...FIXED, ...keys};

    function read() {
      const given = new URLSearchParams(location.hash.slice(1));
      return Object.fromEntries(Object.entries(defaults).map(([key, value]) => [key, given.get(key) ?? value]));
    }

    function hashOf(state) {
      const changed = Object.entries(state).filter(([key, value]) => key in defaults && value !== defaults[key]);
      return `#${new URLSearchParams(changed)}`;
    }

    // Without a history entry: the Back button should not undo a filter letter by letter.
    function replace(state) {
      history.replaceState(null, '', hashOf(state));
    }

    return {read, hashOf, replace, defaults};
  }

  return {reader};
})();
