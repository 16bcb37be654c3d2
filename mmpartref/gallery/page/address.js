'use strict';
// What the page shows, kept in the address behind the #, so that a view can be bookmarked or sent to somebody.
Gallery.address = (() => {
  const FIXED = {q: '', page: '1', open: ''};

  // keys: names with their defaults.
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

    // In place: a filter is no step that the Back button should undo letter by letter.
    function replace(state) {
      history.replaceState(null, '', hashOf(state));
    }

    return {read, hashOf, replace, defaults};
  }

  return {reader};
})();
