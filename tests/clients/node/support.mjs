// What the tests of all packages need. tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

export function env(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run the tests with tests/clients/run.sh`);
  return value;
}

export const url = env('KEYFOB_URL');

/** Makes a text that no other test has. */
export const unique = (text) => `${text} ${randomUUID().slice(0, 8)}`;

/** Passes requests on to Keyfob; cuts the first `cuts` connections before the request or before the answer. */
export async function cuttingProxy(t, { before, cuts }) {
  const attempts = [];
  const server = createServer(async (request, response) => {
    const attempt = { headers: request.headers, answer: undefined };
    attempts.push(attempt);
    const cut = attempts.length <= cuts;
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (cut && before === 'request') return request.socket.destroy();
    const { host: _h, connection: _c, 'content-length': _l, ...headers } = request.headers;
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
