// Accepts an invitation: takes user name and code from the link, asks for a password,
// and sends the three to the service.

// First of all: the code must not stay in the address bar and the history.
const fragment = location.hash;
history.replaceState(null, '', location.pathname);

/**
 * User name and code of a link's fragment, `#u=USERNAME&c=CODE`.
 *
 * The mail holds both raw. The program that opened the link may have encoded all characters
 * that no URL may hold, or (a browser) only a few, and never `%`. So `%40` in a code is `@`
 * or `%40`. It is `@` when the whole text could be the output of an encoder.
 */
export function parse(hash) {
  const text = hash.replace(/^#/, '');
  // The separators are encoded, too: the values inside are raw.
  const outside = /^u%3d/i.test(text);
  const parts = split(outside ? (decoded(text) ?? '') : text);
  const decode = outside ? String : fullyEncoded(parts) ? decoded : browserDecoded;
  // Neither can begin or end with white space: that is from a line break of the mail.
  const [username, code] = parts.map((part) => decode(part).trim());
  return { username, code };
}

function split(text) {
  if (!text.startsWith('u=')) {
    return ['', ''];
  }
  const end = text.indexOf('&c=', 2);
  return end < 0 ? [text.slice(2), ''] : [text.slice(2, end), text.slice(end + 3)];
}

/** Whether an encoder that encodes `%`, too, may have made these parts. Then `decoded` applies. */
function fullyEncoded(parts) {
  const escape = /%[0-9a-f]{2}/gi;
  const bare = parts.map((part) => part.replace(escape, '')).join('');
  // Every encoder encodes these characters.
  if (/[^\x21-\x7e]|["%<>[\\\]^`{|}]/.test(bare) || parts.some((part) => decoded(part) === null)) {
    return false;
  }
  return (
    parts
      .flatMap((part) => part.match(escape) ?? [])
      .map((found) => String.fromCharCode(parseInt(found.slice(1), 16)))
      // No encoder encodes the first set, and each treats a character alike everywhere.
      .every((character) => !/[A-Za-z0-9._\-\x00-\x1f\x7f]/.test(character) && !bare.includes(character))
  );
}

/** Undoes only the encoding that a browser applies to a fragment. */
function browserDecoded(text) {
  const escapes =
    /%(?:20|22|3C|3E|60|[CD][0-9A-F]%[89AB][0-9A-F]|E[0-9A-F](?:%[89AB][0-9A-F]){2}|F[0-7](?:%[89AB][0-9A-F]){3})/g;
  return text.replace(escapes, (escape) => decoded(escape) ?? escape);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** How long a response may take. */
const RESPONSE_TIMEOUT_MS = 30_000;
/** How long the page confirms the acceptance before it redirects. */
const REDIRECT_DELAY_MS = 4_000;

/** The kinds of characters that a user pool can require, as its rules name them. */
const KINDS = new Map([
  ['uppercase', 'an uppercase letter'],
  ['lowercase', 'a lowercase letter'],
  ['number', 'a number'],
  ['symbol', 'a symbol'],
]);
/** What to do about a rule that a password breaks, as texts after "Use". */
const REMEDIES = new Map([
  ['length', 'more characters'],
  ['uppercase', 'an uppercase letter (A–Z)'],
  ['lowercase', 'a lowercase letter (a–z)'],
  ['number', 'a number (0–9)'],
  ['symbol', 'a symbol, such as ! ? - or %'],
  ['history', 'a password that you have not had before'],
  ['not_compromised', 'a password that is not on a list of stolen ones'],
  ['not_the_code', 'another password than the code'],
  ['no_space_at_ends', 'no space at the beginning or the end'],
]);

/** The standard attributes that a user can be asked for. */
const ATTRIBUTES = new Map([
  ['name', { label: 'Full name', autocomplete: 'name' }],
  ['given_name', { label: 'First name', autocomplete: 'given-name' }],
  ['middle_name', { label: 'Middle name', autocomplete: 'additional-name' }],
  ['family_name', { label: 'Last name', autocomplete: 'family-name' }],
  ['nickname', { label: 'Nickname', autocomplete: 'nickname' }],
  ['preferred_username', { label: 'Preferred user name', literal: true }],
  ['email', { label: 'E-mail address', type: 'email', autocomplete: 'email', literal: true }],
  [
    'phone_number',
    {
      label: 'Phone number',
      type: 'tel',
      autocomplete: 'tel',
      hint: 'With the country code, such as +49 30 1234567.',
    },
  ],
  ['birthdate', { label: 'Date of birth', type: 'date', autocomplete: 'bday' }],
  ['gender', { label: 'Gender', autocomplete: 'sex' }],
  ['address', { label: 'Postal address' }],
  ['locale', { label: 'Language', autocomplete: 'language', literal: true, hint: 'Such as en-GB or de-DE.' }],
  ['zoneinfo', { label: 'Time zone', literal: true, hint: 'Such as Europe/Berlin.' }],
  ['website', { label: 'Website', type: 'url', autocomplete: 'url', hint: 'Such as https://example.com.' }],
  ['profile', { label: 'Profile page', type: 'url', hint: 'Such as https://example.com/me.' }],
  [
    'picture',
    { label: 'Picture', type: 'url', hint: 'The address of an image, such as https://example.com/me.png.' },
  ],
]);

const byId = (id) => document.getElementById(id);
const main = document.querySelector('main');
const message = byId('message');
const username = byId('username');
const code = byId('code');
const password = byId('password');
const reveal = byId('reveal');
/** The fields that a link fills. */
const identity = byId('identity');
/** The fields of attributes that were asked for, by the attribute's name. */
const attributes = new Map();

/** Invisible characters that the service refuses in user name and code. A code may hold a space. */
const UNSEEN_IN_NAME = /(?![\t-\r ])[\p{C}\p{Z}]/u;
/** Values may hold spaces, and the joiners of Persian, of the scripts of India and of emoji. */
const UNSEEN_IN_VALUE = /(?![\t-\r\u200c\u200d])[\p{Cc}\p{Cf}\p{Co}]/u;
/** Without password and custom attributes, which may hold any character. */
const unseenIn = new Map([
  [username, UNSEEN_IN_NAME],
  [code, UNSEEN_IN_NAME],
]);
const EMPTY = new Map([
  [username, 'Enter your user name.'],
  [code, 'Enter the code from your mail.'],
  [password, 'Enter a password.'],
]);
const contact = safe(main.dataset.contact, ['https:', 'http:', 'mailto:']);
const done = safe(main.dataset.done, ['https:', 'http:']);
let sending = false;

start();

function start() {
  ({ username: username.value, code: code.value } = parse(fragment));
  const whole = Boolean(username.value && code.value);
  showIdentity(!whole);
  nameUser();
  byId('code-hint').hidden = !whole;
  if (whole) {
    code.setAttribute('aria-describedby', 'code-hint');
  } else {
    byId('lead').textContent = 'Enter the user name and code from your invitation mail, and choose a password.';
  }
  const rules = passwordRules();
  byId('password-hint').hidden = !rules;
  if (rules) {
    byId('password-hint').textContent = `${rules[0].toUpperCase()}${rules.slice(1)}.`;
    password.setAttribute('aria-describedby', 'password-hint');
  }
  if (contact) {
    for (const link of document.querySelectorAll('a.contact')) {
      link.href = contact.href;
      link.textContent = nameOf(contact);
    }
  }

  byId('form').addEventListener('submit', (event) => {
    event.preventDefault();
    once(byId('submit'), accept);
  });
  byId('form').addEventListener('input', (event) => clearWrong(event.target));
  reveal.addEventListener('click', () => show(password.type === 'password'));
  byId('change').addEventListener('click', () => {
    showIdentity(true);
    username.focus();
  });
  byId('back').addEventListener('click', () => {
    clearMessage();
    view('invitation');
    (code.value ? password : code).focus();
  });
  // A browser may restore a page, or the values of its fields, when a user comes back to it.
  addEventListener('pagehide', () => {
    code.value = '';
    password.value = '';
    showIdentity(true);
  });
  // Another link, opened in this tab, changes only the fragment: start again with it.
  addEventListener('hashchange', () => location.hash && location.reload());

  view('invitation');
  ([username, code].find((field) => !field.value) ?? password).focus();
}

/** Shows the fields for user name and code, or one line in their place. */
function showIdentity(shown) {
  identity.hidden = !shown;
  byId('from-link').hidden = shown;
}

/** Writes the user name into the sentences that have it. */
function nameUser() {
  for (const place of document.querySelectorAll('.name')) {
    place.textContent = username.value.trim();
  }
}

/** The rules of the user pool as the rest of a sentence; empty if the service does not know them. */
function passwordRules() {
  const kinds = main.dataset.required.split(' ').filter((kind) => KINDS.has(kind));
  const length = remedy('length');
  if (!main.dataset.minLength || kinds.length === 0) {
    return main.dataset.minLength && length;
  }
  const named = kinds.map((kind) => KINDS.get(kind));
  const last = named.pop();
  return `${length}, with ${named.length ? `${named.join(', ')} and ${last}` : last}`;
}

function remedy(lack) {
  const least = main.dataset.minLength;
  return lack === 'length' && least ? `at least ${least} characters` : REMEDIES.get(lack);
}

/** A URL that may become a link's target, or null. */
function safe(text, protocols) {
  try {
    const url = new URL(text);
    return protocols.includes(url.protocol) ? url : null;
  } catch {
    return null;
  }
}

function nameOf(url) {
  return url.protocol === 'mailto:'
    ? (decoded(url.pathname) ?? url.pathname)
    : url.host + (url.pathname === '/' ? '' : url.pathname);
}

/** Shows one of the page's sections. */
function view(name) {
  for (const section of main.querySelectorAll('section')) {
    section.hidden = section.id !== name;
  }
  const heading = byId(name).querySelector('h1');
  document.title = [heading.textContent, byId('brand').textContent].filter(Boolean).join(' · ');
  // The other sections name the contact themselves.
  byId('contact').hidden = !contact || name === 'asked' || (name === 'accepted' && !done);
  heading.focus();
}

/** Runs `send` unless a request is in progress, and shows that on the button. */
async function once(button, send) {
  if (sending) {
    return;
  }
  if (send === accept) {
    // For another `send`, the button is in the message.
    clearMessage();
  }
  fields().forEach(clearWrong);
  const asked = send === accept ? fields() : [username];
  const wrong = missing(asked) ?? unseen(asked);
  if (wrong) {
    wrong.focus();
    return;
  }
  sending = true;
  const label = button.textContent;
  button.setAttribute('aria-disabled', 'true');
  button.textContent = 'One moment…';
  byId('progress').textContent = 'One moment…';
  try {
    await send();
  } finally {
    sending = false;
    button.removeAttribute('aria-disabled');
    button.textContent = label;
    byId('progress').textContent = '';
  }
}

function fields() {
  return [username, code, password, ...attributes.values()];
}

/** Marks the fields that are empty, and returns the first. */
function missing(asked) {
  const empty = asked.filter((field) => !field.value.trim());
  for (const field of empty) {
    markWrong(field, EMPTY.get(field) ?? 'Enter a value.');
  }
  return empty[0];
}

/** Marks the fields with a character that came with copied text, and returns the first. */
function unseen(asked) {
  const marked = [];
  for (const field of asked) {
    const text = field.value.trim();
    const at = unseenIn.has(field) ? text.search(unseenIn.get(field)) : -1;
    if (at >= 0) {
      const place = [...text.slice(0, at)].length + 1;
      markWrong(field, `Character ${place} is invisible. Delete it, or type the text by hand.`);
      marked.push(field);
    }
  }
  return marked[0];
}

async function accept() {
  if (/^[\t-\r ]|[\t-\r ]$/.test(password.value)) {
    // No user pool takes it. It is not trimmed: that would make it another password.
    passwordRefused(['no_space_at_ends']);
    return;
  }
  // Some password managers do not offer to save a password that is visible.
  show(false);
  const answer = await post('/accept', {
    username: username.value.trim(),
    code: code.value.trim(),
    password: password.value,
    attributes: Object.fromEntries([...attributes].map(([name, field]) => [name, valueOf(name, field)])),
  });
  if (answer.status === 200 && answer.body.status === 'accepted') {
    accepted();
    return;
  }
  const listed = (Array.isArray(answer.body.attributes) ? answer.body.attributes : []).filter(
    (name) => typeof name === 'string',
  );
  switch (answer.body.code) {
    case 'attributes_needed':
      return listed.length ? needed(listed) : failed(answer);
    case 'attribute_refused':
      return refused(listed);
    case 'password_refused':
      return passwordRefused(Array.isArray(answer.body.lacks) ? answer.body.lacks : []);
    case 'not_accepted':
      return notAccepted();
    case 'alias_exists':
      return say('bad', 'Another user has this e-mail address or phone number.', [
        'If you can change it here, enter another one. Otherwise ask the people who invited you for help.',
      ]);
    case 'misconfigured':
      return say('bad', 'Your account cannot be set up now.', [
        'This is not your mistake. Ask the people who invited you to look into it, and try again later.',
      ]);
    case 'expired':
      return say(
        'note',
        'This code has expired.',
        ['Ask for a new one. An administrator then has to send it by mail.'],
        renewalButton('primary'),
      );
    default:
      return failed(answer);
  }
}

function accepted() {
  byId('lead-on').hidden = !done;
  byId('sign-in').hidden = Boolean(done);
  nameUser();
  view('accepted');
  // The page may stay open, and the secrets are no longer needed.
  for (const field of fields()) {
    field.value = '';
  }
  if (done) {
    byId('lead-on').querySelector('a').href = done.href;
    byId('done-host').textContent = done.host;
    // Replaces this page, so that "back" does not lead to an empty form.
    setTimeout(() => location.replace(done.href), REDIRECT_DELAY_MS);
  }
}

function needed(names) {
  const asked = names.map(attributeField);
  say('note', 'More details are needed.', ['Fill in what is missing and send it again.']);
  (asked.find((field) => !field.value) ?? asked[0]).focus();
}

function refused(names) {
  const asked = names.map(attributeField);
  for (const field of asked) {
    markWrong(field, 'This value is not accepted.');
  }
  say('bad', 'One of the details is not accepted.', [
    asked.length ? 'Correct what is marked and send it again.' : 'Look through them and send it again.',
  ]);
  (asked[0] ?? [...attributes.values()][0] ?? message).focus();
}

function passwordRefused(lacks) {
  const remedies = lacks.filter((lack) => REMEDIES.has(lack)).map(remedy);
  if (remedies.length > 1) {
    const list = document.createElement('ul');
    list.append(...remedies.map((text) => element('li', text)));
    markWrong(password, 'Use:', list);
  } else {
    const unnamed = passwordRules() || 'a longer password, with uppercase and lowercase letters, a number and a symbol';
    markWrong(password, `Use ${remedies[0] ?? unnamed}.`);
  }
  password.focus();
}

function notAccepted() {
  const before = element('p', 'Is your password set already? ');
  if (done) {
    const link = element('a', 'Sign in');
    link.href = done.href;
    before.append(link, '.');
  } else {
    before.append('Then sign in with it.');
  }
  markWrong(username, 'Compare it with your mail.');
  markWrong(code, 'Compare it with your mail, up to the last character.');
  say('bad', 'User name and code do not match.', [before], renewalButton('secondary'));
}

/** Failures that are not the user's mistake: the fields stay, and can be sent again. */
function failed({ status, body, wait }) {
  // Except for a value that can never be valid.
  const field = new Map(Object.entries({ username, code, password })).get(body.field);
  if (body.code === 'invalid' && field) {
    markWrong(field, 'This value is not accepted.');
    field.focus();
  } else if (body.code === 'invalid' && body.field === 'attributes') {
    refused([]);
  } else if (body.code === 'try_again' || status === 408) {
    say('note', 'That did not work.', ['Send it again. Your entries are kept.']);
  } else if (body.code === 'too_many_requests' || status === 429) {
    say('note', 'Too many attempts.', [`Send it again ${later(wait)}. Your entries are kept.`]);
  } else if (body.code === 'unavailable' || [502, 503, 504].includes(status)) {
    say('note', 'The service is busy or not available.', [`Send it again ${later(wait)}. Your entries are kept.`]);
  } else if (status === 0) {
    say('bad', 'There was no answer.', [
      'Check that you are online, and send it again. Your entries are kept.',
    ]);
  } else {
    say('bad', 'Something went wrong.', ['Send it again in a few minutes. Your entries are kept.']);
  }
}

function later(seconds) {
  if (!(seconds > 0)) {
    return 'in a minute';
  }
  const [count, unit] = seconds < 90 ? [Math.ceil(seconds), 'second'] : [Math.ceil(seconds / 60), 'minute'];
  return `in ${count} ${unit}${count === 1 ? '' : 's'}`;
}

function renewalButton(look) {
  const button = element('button', 'Ask for a new code');
  button.type = 'button';
  button.className = look;
  button.addEventListener('click', () => once(button, renew));
  return button;
}

async function renew() {
  const answer = await post('/accept/renewal', { username: username.value.trim() });
  if (answer.status === 202) {
    view('asked');
  } else {
    failed(answer);
    if (!message.querySelector('button')) {
      message.append(renewalButton('secondary'));
    }
  }
}

/** Posts JSON. Status 0 means that there was no answer. */
async function post(path, body) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), RESPONSE_TIMEOUT_MS);
  try {
    const response = await fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      cache: 'no-store',
      // The body holds secrets: it goes only to this address.
      redirect: 'error',
      signal: stop.signal,
    });
    // A proxy's error page is not JSON.
    const said = await response.json().catch(() => null);
    return {
      status: response.status,
      body: said ?? {},
      wait: Number(response.headers.get('Retry-After')),
    };
  } catch {
    return { status: 0, body: {} };
  } finally {
    clearTimeout(timer);
  }
}

/** The field of an attribute, made when it is first asked for. */
function attributeField(name) {
  if (!attributes.has(name)) {
    const {
      label,
      hint,
      type = 'text',
      autocomplete,
      literal,
    } = ATTRIBUTES.get(name) ?? { label: readable(name) };
    const field = document.createElement('input');
    field.id = `attribute-${attributes.size}`;
    field.type = type;
    field.required = true;
    // No user pool holds a longer value.
    field.maxLength = 2048;
    if (autocomplete) {
      field.autocomplete = autocomplete;
    }
    if (literal || type === 'url') {
      field.setAttribute('autocapitalize', 'none');
      field.spellcheck = false;
    }
    const caption = element('label', label);
    caption.htmlFor = field.id;
    const block = document.createElement('div');
    block.className = 'field';
    block.append(caption, field);
    if (hint) {
      const below = element('p', hint);
      below.className = 'hint';
      below.id = `${field.id}-hint`;
      field.setAttribute('aria-describedby', below.id);
      block.append(below);
    }
    byId('attributes').append(block);
    byId('attributes').hidden = false;
    attributes.set(name, field);
    if (!name.startsWith('custom:')) {
      unseenIn.set(field, UNSEEN_IN_VALUE);
    }
  }
  return attributes.get(name);
}

/** Makes a label of an attribute's name: "Cost centre no" for `custom:costCentre_no`. */
function readable(name) {
  const words = name
    .slice(name.lastIndexOf(':') + 1)
    .replace(/(\p{Ll})(\p{Lu})|(\p{Lu})(?=\p{Lu}\p{Ll})/gu, (found, low, high) =>
      low ? `${low} ${high}` : `${found} `,
    )
    .split(/[\s_.-]+/)
    .filter(Boolean)
    .map((word) => (/^\p{Lu}{2,}$/u.test(word) ? word : word.toLowerCase()))
    .join(' ');
  return words ? words[0].toUpperCase() + words.slice(1) : name;
}

function valueOf(name, field) {
  const value = field.value.trim();
  // Cognito takes only `+` and digits; people group them.
  return name === 'phone_number' ? value.replace(/[\s()./-]/g, '') : value;
}

function show(visible) {
  password.type = visible ? 'text' : 'password';
  reveal.firstElementChild.textContent = visible ? 'Hide' : 'Show';
}

/** Shows a message above the form, and moves the focus to it. */
function say(kind, title, paragraphs, ...actions) {
  const first = document.createElement('p');
  first.append(element('strong', title));
  message.className = `message ${kind}`;
  message.replaceChildren(
    first,
    ...paragraphs.map((text) => (typeof text === 'string' ? element('p', text) : text)),
    ...actions,
  );
  message.hidden = false;
  message.focus();
}

function clearMessage() {
  message.hidden = true;
  message.replaceChildren();
}

/** Shows an error below a field. */
function markWrong(field, ...said) {
  clearWrong(field);
  if (identity.contains(field)) {
    showIdentity(true);
  }
  const note = document.createElement('div');
  note.className = 'wrong';
  note.id = `${field.id}-wrong`;
  note.append(...said);
  field.closest('.field').append(note);
  field.setAttribute('aria-invalid', 'true');
  field.setAttribute(
    'aria-describedby',
    [field.getAttribute('aria-describedby'), note.id].filter(Boolean).join(' '),
  );
}

function clearWrong(field) {
  const note = byId(`${field.id}-wrong`);
  if (!note) {
    return;
  }
  note.remove();
  field.removeAttribute('aria-invalid');
  const left = (field.getAttribute('aria-describedby') ?? '').split(' ').filter((id) => id && id !== note.id);
  if (left.length) {
    field.setAttribute('aria-describedby', left.join(' '));
  } else {
    field.removeAttribute('aria-describedby');
  }
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
