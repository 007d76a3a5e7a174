// Shows times in the reader's zone, refreshes a page that moves, and reads a file into a field.
// Nothing depends on it.
'use strict';

const REFRESH_MS = 2000;
const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

function localize(part) {
  for (const time of part.querySelectorAll('time')) {
    time.title = time.textContent;
    time.textContent = zoned.format(new Date(time.dateTime));
  }
}

const live = document.getElementById('live');
const gone = document.getElementById('gone');
let shown;

async function refresh() {
  const answer = await fetch(location.href);
  // The work has ended with another page, or the browser is signed out.
  if (answer.redirected || !answer.ok) {
    location.replace(answer.url);
    return false;
  }
  const text = await answer.text();
  const page = new DOMParser().parseFromString(text, 'text/html');
  const part = page.getElementById('live');
  const html = part.innerHTML;
  if (html !== shown) {
    shown = html;
    const focused = document.activeElement?.id;
    localize(part);
    live.replaceChildren(...part.childNodes);
    // What had the focus was replaced.
    if (focused) document.getElementById(focused)?.focus();
  }
  if (part.dataset.say !== live.dataset.say) {
    live.dataset.say = part.dataset.say;
    document.getElementById('said').textContent = part.dataset.say;
  }
  return page.body.hasAttribute('data-moves');
}

async function again() {
  let moves = true;
  if (!document.hidden) {
    try {
      moves = await refresh();
      gone.hidden = true;
    } catch {
      gone.hidden = false;
    }
  }
  if (moves) setTimeout(again, REFRESH_MS);
}

for (const input of document.querySelectorAll('[data-into]')) {
  input.parentElement.hidden = false;
  input.addEventListener('change', async () => {
    const [file] = input.files;
    if (file) document.getElementById(input.dataset.into).value = await file.text();
  });
}
localize(document);
if (document.body.hasAttribute('data-moves')) setTimeout(again, REFRESH_MS);
