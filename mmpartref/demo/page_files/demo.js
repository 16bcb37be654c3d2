// Runs in the browser when the page is loaded: toggles of layers, part names that fill in the text, Ctrl+Enter.
() => {
  const text = () => document.querySelector('#expressions textarea');
  const lines = () => text().value.split('\n').map(each => each.trim()).filter(Boolean);

  const write = expressions => {
    text().value = expressions.join('\n');
    text().dispatchEvent(new Event('input', { bubbles: true })); // Gradio keeps its own copy
  };

  const count = () => {
    const chosen = lines();
    document.querySelectorAll('.parts details').forEach(group => {
      const boxes = [...group.querySelectorAll('input')];
      boxes.forEach(box => { box.checked = chosen.includes(box.value); });
      const number = boxes.filter(box => box.checked).length;
      group.querySelector('.count').textContent = number ? `(${number} of ${boxes.length})` : `(${boxes.length})`;
    });
  };

  document.addEventListener('change', event => {
    const box = event.target;
    if (box.dataset.layer !== undefined) {
      document.querySelector(`.layer[data-layer="${box.dataset.layer}"]`).hidden = !box.checked;
    } else if (box.dataset.soft !== undefined) {
      document.querySelector('.view').classList.toggle('soft', box.checked);
    } else if (box.closest('.parts')) {
      const others = lines().filter(each => each !== box.value);
      write(box.checked ? [...others, box.value] : others);
      count();
    }
  });

  document.addEventListener('click', event => {
    if (event.target.id === 'clear-names') {
      const names = [...document.querySelectorAll('.parts input')].map(each => each.value);
      write(lines().filter(each => !names.includes(each)));
      count();
    }
  });

  // Not an event: Gradio writes an example's text without one.
  let counted = '';
  setInterval(() => {
    if (text() && text().value !== counted) {
      counted = text().value;
      count();
    }
  }, 200);

  document.addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) document.querySelector('#find').click();
  });
}
