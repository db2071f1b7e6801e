// What the tests of the proxy share: somebody else's server, all that a client sends and gets, and who looks for a
// credential in it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { env, url } from './support.mjs';

/** What these clients have: the key of an agent, which may use what it cannot see. */
export const TOKEN = env('KEYFOB_AGENT_TOKEN');
/** What stands in the place of a credential. */
export const REDACTED = '[redacted by keyfob]';

/** Somebody else's server. It notes what it gets, and answers as the test says. */
export async function upstream(t, answer) {
  const got = [];
  const server = createServer(async (request, response) => {
    const { method, url: path, headers, rawHeaders } = request;
    const parts = [];
    for await (const part of request) parts.push(part);
    const came = { method, path, headers, rawHeaders, body: Buffer.concat(parts) };
    got.push(came);
    await answer(came, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  const host = `127.0.0.1:${server.address().port}`;
  return { got, host, url: `http://${host}` };
}

export const json = (response, body, { status = 200, ...headers } = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

/** The base URL of a client that is to reach `to` with what a secret holds. */
export const through = (to, secret, contact = '-') => `${url}/proxy/${contact}/${secret}/${to}`;

/** Where a request to the public address arrives, by the proxy that answers there. */
const arrives = (address) => String(address).replace(env('KEYFOB_PUBLIC_URL'), url);

/** The platform's fetch, and all that a client sends and gets by it. */
export function watch() {
  const seen = [];
  const note = (...texts) => seen.push(...texts.map((text) => Buffer.from(`${text}\n`)));
  const transform = (part, controller) => {
    seen.push(Buffer.from(part));
    controller.enqueue(part);
  };
  const fetchFn = async (address, init) => {
    note(address, JSON.stringify([...new Headers(init?.headers)]), typeof init?.body === 'string' ? init.body : '');
    const answer = await fetch(arrives(address), init);
    note(answer.url, `${answer.status} ${answer.statusText}`, JSON.stringify([...answer.headers]));
    return answer.body ? new Response(answer.body.pipeThrough(new TransformStream({ transform })), answer) : answer;
  };
  return { fetch: fetchFn, all: () => Buffer.concat(seen) };
}

/** Whether somebody who looks finds the credential in this: as it is, in base64 wherever that begins, or in hex. */
export function finds(bytes, credential) {
  const base64 = (shift) => Buffer.concat([Buffer.alloc(shift), Buffer.from(credential)]).toString('base64')
    .slice(shift && shift + 1, Math.floor((shift + credential.length) / 3) * 4);
  const forms = [credential, base64(0), base64(1), base64(2), Buffer.from(credential).toString('hex')];
  return forms.some((form) => bytes.includes(form));
}

/** Whether a request had exactly this credential, once, where it belongs, and nothing of Keyfob's. */
export function injected(came, credential, header = 'authorization', scheme = 'Bearer ') {
  assert.equal(came.headers[header], `${scheme}${credential}`);
  const all = [came.path, ...came.rawHeaders, came.body.toString('latin1')].join('\n');
  assert.equal(all.split(credential).length, 2, 'the credential is in one place');
  for (const own of [TOKEN, '/proxy/', new URL(url).host]) assert.ok(!all.includes(own), `${own} reached the server`);
}
