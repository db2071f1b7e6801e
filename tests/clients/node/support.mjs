// What the tests of all packages need. tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';

export function env(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run the tests with tests/clients/run.sh`);
  return value;
}

export const url = env('KEYFOB_URL');

/** Makes a text that no other test has. */
export const unique = (text) => `${text} ${randomUUID().slice(0, 8)}`;

/**
 * Passes a request on to Keyfob and resets the connection at once, so that its answer cannot be written. While Keyfob
 * has bytes of a next request it reads no further, so it does what it was asked, and learns of the reset afterwards.
 */
async function sendAndReset(method, path, headers, body) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  const fields = Object.entries({ host: 'keyfob', ...headers, 'content-length': body.length });
  const head = [`${method} ${path} HTTP/1.1`, ...fields.map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n');
  socket.on('error', () => {});
  socket.write(Buffer.concat([Buffer.from(head), body, Buffer.from('GET')]));
  socket.resetAndDestroy();
}

/**
 * Passes requests on to Keyfob; cuts the first `cuts` connections before the request, before the answer is written to
 * the proxy (`writing`; and when `lost` has ended), or when the proxy has read the answer.
 */
export async function cuttingProxy(t, { before, cuts, lost }) {
  const attempts = [];
  const server = createServer(async (request, response) => {
    const attempt = { headers: request.headers, answer: undefined };
    attempts.push(attempt);
    const cut = attempts.length <= cuts;
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (cut && before === 'request') return request.socket.destroy();
    const { host: _h, connection: _c, 'content-length': _l, ...headers } = request.headers;
    if (cut && before === 'writing') {
      await sendAndReset(request.method, request.url, headers, Buffer.concat(chunks));
      await lost();
      return request.socket.destroy();
    }
    const body = chunks.length > 0 ? Buffer.concat(chunks) : undefined;
    const answer = await fetch(url + request.url, { method: request.method, headers, body });
    const text = await answer.text();
    attempt.answer = JSON.parse(text);
    if (cut) return request.socket.destroy();
    return response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') }).end(text);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => { server.closeAllConnections?.(); server.close(); });
  return { attempts, baseURL: `http://127.0.0.1:${server.address().port}` };
}
