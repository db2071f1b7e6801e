// A server that notes what it is asked and answers what any client takes, and what can be compared of two requests.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { env } from './support.mjs';

/** One object that is every answer of the API at once. */
const TOTP = {
  id: 't1', label: 'x', issuer: null, algorithm: 'SHA1', digits: 6, period: 30, created_at: '2026-04-05T12:00:00Z',
  updated_at: '2026-04-05T12:00:00Z', type: 'totp', policy: { unique: false, min_validity: 0 },
};
const ANSWER = {
  id: 'x', name: '', description: '', fingerprint: '', alias: null, kind: 'shared', type: 'plain', visibility: 'private',
  url: 'https://keyfob.example.com/connect/x', items: [], cursor: '', createdAt: 0, updatedAt: 0,
  status: 'OK', code: '000000', expires_in: 1, server_time: 0, valid_from: 0, valid_until: 30, period: 30, digits: 6,
  totp_secret: TOTP, totp_secrets: [],
};

/** Starts it; `requests(case)` are those that came for a case, in the order they came. */
export async function recorder(t) {
  const seen = new Map();
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const name = request.headers['x-case'];
    const requests = seen.get(name) ?? [];
    seen.set(name, [...requests, normal(request, Buffer.concat(parts))]);
    const isAmong = (header) => requests.length < Number(request.headers[header] ?? 0);
    if (isAmong('x-silent')) return undefined;
    if (isAmong('x-refuse')) return response.writeHead(503, { 'content-type': 'application/json' }).end('{}');
    const isStream = request.headers.accept === 'application/jsonl';
    const type = isStream ? 'application/jsonl' : 'application/json; charset=utf-8';
    return response.writeHead(200, { 'content-type': type }).end(isStream ? '' : JSON.stringify(ANSWER));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  const host = `127.0.0.1:${server.address().port}`;
  return { seen, host, url: `http://${host}` };
}

/** What each HTTP library says of itself and of its connection, and what tells the cases apart. */
const OF_THE_LIBRARY = new Set([
  'accept-encoding', 'accept-language', 'cache-control', 'connection', 'content-length', 'host', 'pragma', 'sec-fetch-mode',
  'transfer-encoding', 'user-agent', 'x-case',
]);

/** A request as it came, but for the order of its query and of its fields, and for the library's own headers. */
function normal({ method, url, headers }, body) {
  const at = url.indexOf('?');
  const [path, query] = at < 0 ? [url, undefined] : [url.slice(0, at), url.slice(at + 1)];
  const kept = Object.entries(headers).filter(([name]) => !OF_THE_LIBRARY.has(name) && !name.startsWith('x-stainless-'));
  const request = { method, path, query: query?.split('&').sort() };
  for (const [name, value] of kept) request[name] = value;
  const [, mark] = (headers['content-type'] ?? '').match(/^multipart\/form-data; boundary=(.+)$/) ?? [];
  const text = body.toString('latin1');
  if (mark) request['content-type'] = 'multipart/form-data';
  request.body = headers['content-type'] === 'application/json' ? JSON.parse(body) : text.replaceAll(mark ?? '\0', 'MARK');
  return request;
}

/** What two requests differ in: each field with what both have there. */
export function difference(one, other) {
  const fields = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Object.fromEntries([...fields].flatMap((field) => {
    const pair = [one[field], other[field]];
    try {
      assert.deepEqual(...pair);
      return [];
    } catch {
      return [[field, pair]];
    }
  }));
}

/** Runs a Rust program that was built next to the binary: an example of the SDK. */
export async function runExample(name, variables, args = []) {
  const program = join(dirname(env('KEYFOB_BIN')), 'examples', name);
  const child = spawn(program, args, { env: { ...process.env, ...variables }, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const from of ['stdout', 'stderr']) child[from].setEncoding('utf8').on('data', (text) => { said[from] += text; });
  const [status] = await once(child, 'close');
  return { status, ...said };
}
