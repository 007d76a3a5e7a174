// Serves the page as usher does, and answers its posts as the test says.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  // On a connection that was used before, the browser itself tries again what is cut.
  Connection: 'close',
};

const FILES = new Map([
  ['/accept', ['text/html; charset=utf-8', 'templates/accept.html']],
  ['/accept/accept.css', ['text/css; charset=utf-8', 'templates/base.css', 'src/http/accept/accept.css']],
  ['/accept/accept.js', ['text/javascript; charset=utf-8', 'src/http/accept/accept.js']],
]);

const escaped = (text) => text.replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);

/**
 * `answers` are given one after the other, the last one again and again. Each is
 * `{ status, body, headers, after }`: after a promise, when there is one; `cut` breaks
 * the connection instead.
 */
export async function serve({
  brand = '',
  contact = '',
  done = '',
  minLength = '',
  required = '',
  answers: given = [],
} = {}) {
  const answers = [...given];
  const requests = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const { pathname } = new URL(request.url, 'http://usher');
    requests.push({
      method: request.method,
      path: pathname,
      url: request.url,
      headers: request.rawHeaders,
      body,
    });
    const file = FILES.get(pathname);
    if (request.method === 'GET' && file) {
      const [type, ...parts] = file;
      const read = (part) => readFileSync(`${process.env.PROJECT}/${part}`, 'utf8');
      const text = parts
        .map(read)
        .join('')
        .replaceAll('{{brand}}', escaped(brand))
        .replaceAll('{{contact}}', escaped(contact))
        .replaceAll('{{done_url}}', escaped(done))
        .replaceAll('{{min_length}}', escaped(minLength))
        .replaceAll('{{required}}', escaped(required));
      response.writeHead(200, { ...HEADERS, 'Content-Type': type }).end(text);
    } else if (request.method === 'POST') {
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      await answer.after;
      if (answer.cut) {
        request.socket.destroy();
        return;
      }
      const type = answer.status < 400 ? 'application/json' : 'application/problem+json';
      response
        .writeHead(answer.status, { ...HEADERS, 'Content-Type': type, ...answer.headers })
        .end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
    } else if (pathname === '/welcome') {
      response
        .writeHead(200, { ...HEADERS, 'Content-Type': 'text/html' })
        .end('<title>Welcome</title>Welcome');
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    requests,
    posts: () => requests.filter(({ method }) => method === 'POST'),
    stop() {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
}
