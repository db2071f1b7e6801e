// What all tests of the connect page need: accounts, links, and browsers that are watched.
// tests/browser/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

function env(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run the tests with tests/browser/run.sh`);
  return value;
}

/** Where Keyfob is. */
export const url = env('KEYFOB_URL');

/** What must be in no log, no output and nowhere stored in the clear: tests/browser/run.sh looks for it. */
export function noted(secret) {
  appendFileSync(env('KEYFOB_SECRETS_SEEN'), `${secret.trim()}\n`);
  return secret;
}

/** Makes a secret that no other test types. */
export const typed = () => noted(`canary-${randomUUID()}`);

// --- the API ---

async function call(token, path, body = {}) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await fetch(`${url}/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  const json = await answer.json();
  assert.equal(answer.status, 200, `${path}: ${JSON.stringify(json)}`);
  return json;
}

/** An account of its own, with this name and these origins. */
export async function account({ name = 'Acme Travel', allowedOrigins = [] } = {}) {
  const { id, key } = await call(env('KEYFOB_OWNER_TOKEN'), 'account/create', { email: `${randomUUID()}@example.com` });
  noted(key.token);
  const post = (path, body) => call(key.token, path, body);
  await post('account/update', { name, allowedOrigins });
  return { id, token: key.token, post };
}

const GITHUB = {
  name: 'GitHub', description: 'To open issues in your repositories when you ask the assistant to.',
  config: { hosts: ['api.github.com'] },
};

/** A contact, a personal credential and a link for both. `credential` says what is not as for GitHub; `secret` is the id of one that is there already. */
export async function link({ owner, type = 'bearer', contact = 'Ann Lee', credential = {}, secret: known, returnUrl } = {}) {
  const { post } = owner ?? (await account());
  const person = await post('contact/create', { name: contact, verifiedAt: 1 });
  const secret = known ? { id: known } : await post('secret/create', { ...GITHUB, kind: 'personal', type, ...credential });
  const at = `contact/${person.id}/secret/${secret.id}`;
  const { url: address } = await post(`${at}/authenticate`, { returnUrl });
  noted(new URL(address).pathname.split('/').pop());
  return { url: address, secret: secret.id, post: (action, body) => post(`${at}/${action}`, body) };
}

/** What `verify` says of the link's credential now. */
export const verified = async ({ post }) => (await post('verify')).status;

/** Runs a statement in the server's database; its rows, with `|` between columns. */
async function inDatabase(sql) {
  const run = promisify(execFile);
  const postgres = process.env.KEYFOB_DATABASE_URL;
  const { stdout } = postgres
    ? await run('psql', [postgres, '-XqtAc', sql])
    : await run('sqlite3', ['-cmd', '.timeout 10000', `${env('KEYFOB_DATA_DIR')}/keyfob.db`, sql]);
  return stdout.split('\n').filter((row) => row !== '');
}

/** Lets the link's time run out: the server's clock cannot be moved from outside. */
export const expire = ({ secret }) => inDatabase(`UPDATE authentication SET expires_at = created_at WHERE secret_id = '${secret}'`);

/** How the tries to connect the link's credential ended, in their order, as the audit trail has them. */
export const tries = (to) => results(to, 'connection.connect');

/** What became of the clients that were registered for the link's credential, in their order. */
export const clients = (to) => results(to, 'secret.connect');

const results = ({ secret }, action) => inDatabase(`SELECT result FROM event WHERE action = '${action}' AND object_id = '${secret}' ORDER BY created_at, id`);

/** Waits until `condition` holds, for at most 20 s. */
export async function until(what, condition) {
  const end = performance.now() + 20_000;
  while (!(await condition())) {
    assert.ok(performance.now() < end, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// --- the browser ---

const browser = await chromium.launch({
  executablePath: env('KEYFOB_CHROMIUM'),
  // Nothing but the tests may use the network. Chromium refuses its sandbox to root.
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
/** Ends the browser; without it the process does not end. */
export const close = () => browser.close();

/**
 * Somebody's browser, in which nothing may go wrong: after `body`, no request has gone to a host that is not in `hosts`, no script of the page's own failed
 * and the console shows no error but those that match `errors`.
 */
export async function inBrowser(body, { hosts = [], errors = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, ...options });
  const seen = [];
  const allowed = [url, ...hosts].map((address) => new URL(address).host);
  context.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:' && !allowed.includes(host)) seen.push(`request to ${request.url()}`);
  });
  context.on('console', (message) => {
    const text = message.text();
    if (['error', 'warning'].includes(message.type()) && !errors.some((error) => error.test(text))) seen.push(`${message.type()}: ${text}`);
  });
  context.on('weberror', (error) => seen.push(`exception: ${error.error()}`));
  try {
    const result = await body(context);
    assert.deepEqual(seen, []);
    return result;
  } finally {
    await context.close();
  }
}

/** A status of 4xx, which Chromium reports in the console. */
export const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d/;

/** Opens a link; fails unless the page has this status and this heading. */
export async function open(context, { url: address }, { status = 200, heading } = {}) {
  const page = await context.newPage();
  const answer = await page.goto(address);
  assert.equal(answer.status(), status);
  if (heading) await shows(page, heading);
  return page;
}

/** Waits for the page with this heading, as people see it and as screen readers name it. */
export async function shows(page, heading, timeout = 10_000) {
  await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor({ timeout });
}

export const button = (page, name) => page.getByRole('button', { name, exact: true });

/** Fills in the form as a person does, by the labels, and sends it. */
export async function submit(page, fields) {
  for (const [label, text] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(text);
  await button(page, 'Connect').click();
}

/** A page on another origin, at which people begin: it notes what other windows tell it, and its server what is asked of it. */
export async function app() {
  const html = `<!doctype html><html lang="en"><title>App</title><link rel="icon" href="data:,"><h1>Welcome back</h1>
<script>const told = []; addEventListener('message', ({ origin, data }) => told.push({ origin, data }));</script>`;
  const requests = [];
  const server = createServer((request, response) => {
    requests.push({ path: request.url, referer: request.headers.referer });
    response.setHeader('content-type', 'text/html').end(html);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return { origin: `http://127.0.0.1:${server.address().port}`, requests };
}

/** What axe finds wrong for people who use a screen reader, a keyboard or low contrast. */
export async function barriers(page) {
  // Through the protocol, which the page's Content-Security-Policy does not bind.
  const found = await page.evaluate(`globalThis.axe || (() => { ${axe.source} })(); axe.run(document, { resultTypes: ['violations', 'incomplete'] })`);
  const shown = ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`;
  return [...found.violations, ...found.incomplete].map(shown);
}
