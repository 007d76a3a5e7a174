// Links as they reach the page.

export const CHARACTERS =
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789' + `^$*.[]{}()?"!@#%&/\\,><':;|_~\`=+-`;

/** Numbers below `below`, the same for the same seed. */
export function random(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export function code(draw) {
  const length = 6 + draw(15);
  return Array.from({ length }, () => CHARACTERS[draw(CHARACTERS.length)]).join('');
}

export const USERNAMES = [
  'ada',
  'ada@example.com',
  'ada+work@example.com',
  '8f14e45f-ceea-467f-a0e6-3e2b1c5d7a90',
  'jürgen.groß@example.com',
  '小林',
  'x=1&y=2',
  '50%',
];

/** No page can tell what these meant: `%22` may be `"`, too, and `:~:` never arrives. */
export const ambiguous = (text) => /%[0-9a-f]{2}|:~:/i.test(text);

const escape = (character) =>
  [...new TextEncoder().encode(character)]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('');
const all = (keep) => (text) =>
  [...text].map((character) => (keep.test(character) ? character : escape(character))).join('');

/** What mail programs are known to do to a text in a URL. */
export const ENCODERS = {
  encodeURI,
  encodeURIComponent,
  'all but RFC 3986 fragments': all(/[A-Za-z0-9\-._~!$&'()*+,;=:@/?]/),
  'all but unreserved': all(/[A-Za-z0-9\-._~]/),
  'all but letters, digits and ._-, as usher dev prints it': all(/[A-Za-z0-9._-]/),
  'all but unreserved and /': all(/[A-Za-z0-9\-._/]/),
  'in lower case': (text) => encodeURIComponent(text).replace(/%../g, (found) => found.toLowerCase()),
};

/** Fragment, user name, code. */
export const TABLE = [
  ['', '', ''],
  ['#', '', ''],
  ['#elsewhere', '', ''],
  ['#u=', '', ''],
  ['#u=ada', 'ada', ''],
  ['#c=Abc', '', ''],
  ['#u=ada&c=', 'ada', ''],
  ['#u=ada&c=Ab&c=d', 'ada', 'Ab&c=d'],
  ['#u=ada&c=Ab#u=x&c=y', 'ada', 'Ab#u=x&c=y'],
  ['#u=ada&c=Ab=&#+?', 'ada', 'Ab=&#+?'],
  // A browser's work.
  ['#u=ada&c=%22%3C%3E%60', 'ada', '"<>`'],
  ['#u=j%C3%BCrgen&c=%F0%9F%91%8B', 'jürgen', '👋'],
  ['#u=ada&c=Abc%20', 'ada', 'Abc'],
  ['#u=ada&c=a%22{', 'ada', 'a"{'],
  ['#u=ada&c=a%3c{', 'ada', 'a%3c{'],
  ['#u=ada&c=%C3{', 'ada', '%C3{'],
  ['#u=ada&c=%ED%A0%80{', 'ada', '%ED%A0%80{'],
  // Not an encoder's work, so that a percent sign is one.
  ['#u=ada&c=100%', 'ada', '100%'],
  ['#u=ada&c=%%25', 'ada', '%%25'],
  ['#u=ada&c=%4', 'ada', '%4'],
  ['#u=ada&c=a%40[', 'ada', 'a%40['],
  ['#u=ada&c=%41bc', 'ada', '%41bc'],
  ['#u=ada&c=%0Abc', 'ada', '%0Abc'],
  ['#u=ada@example.com&c=a%40b', 'ada@example.com', 'a%40b'],
  ['#u=ada&c=%25%zz', 'ada', '%25%zz'],
  ['#u=ada&c=%80', 'ada', '%80'],
  // An encoder's.
  ['#u=ada%40example.com&c=%5B%25%5D', 'ada@example.com', '[%]'],
  ['#u=ada&c=%2540', 'ada', '%40'],
  ['#u=ada&c=a%5eb%7e', 'ada', 'a^b~'],
  ['#u%3Dada%26c%3DAb%2526%26c', 'ada', 'Ab%26&c'],
  ['#u%3dada%26c%3d%7b%22', 'ada', '{"'],
  ['#u%3Dada%26c%3D%', '', ''],
];
