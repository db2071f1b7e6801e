// What the tests of connections share: what there is to connect, and the person who does so in a browser.

import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { TOKEN, client } from './chatbotkit-support.mjs';
import { CANARY, value } from './secret-support.mjs';
import { env, unique, url } from './support.mjs';

const { contact, secret } = client();

/** Notes what opens a link, or goes on with one: it is looked for afterwards. */
const seen = (text) => appendFileSync(env('KEYFOB_LINKS_SEEN'), `${text}\n`);

/** The path of a link, which begins with the address that people open. */
export function pathOf(link) {
  const begins = `${env('KEYFOB_PUBLIC_URL')}/connect/`;
  assert.ok(link.startsWith(begins), link);
  const state = link.slice(begins.length);
  assert.match(state, /^[\w-]{43}$/);
  seen(state);
  return `/connect/${state}`;
}

const unescaped = (html) => html.replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(code));

/** A person's browser behind the proxy that answers at the public address: it keeps one cookie. */
export class Browser {
  #cookie;

  #go(link, init) {
    return this.#at(pathOf(link), init);
  }

  async #at(path, init) {
    const answer = await fetch(url + path, {
      ...init, redirect: 'error', headers: { accept: 'text/html', ...(this.#cookie && { cookie: this.#cookie }) },
    });
    assert.match(answer.headers.get('content-type'), /^text\/html/);
    const [cookie] = answer.headers.getSetCookie();
    if (cookie) {
      [this.#cookie] = cookie.split(';');
      seen(this.#cookie.split('=')[1]);
    }
    const text = await answer.text();
    assert.ok(!text.includes(CANARY), 'a value is on a page');
    return { status: answer.status, text: unescaped(text) };
  }

  open(link) {
    return this.#go(link);
  }

  /** Comes back from a provider. */
  back(address) {
    const { pathname, search, searchParams } = new URL(address);
    assert.ok(address.startsWith(`${env('KEYFOB_PUBLIC_URL')}/secrets/oauth/callback?`), address);
    for (const name of ['code', 'state']) seen(searchParams.get(name));
    return this.#at(pathname + search);
  }

  /** Opens a link, fills in its form and presses a button of it. */
  async submit(link, typed, button = 'connect') {
    const { status, text } = await this.open(link);
    assert.equal(status, 200, text);
    const names = [...text.matchAll(/<(?:input|textarea) id="(\w+)"/g)].map(([, name]) => name);
    assert.deepEqual(names, Object.keys(typed), 'the fields of the form');
    const [, proof] = text.match(/name="proof" value="([^"]+)"/);
    seen(proof);
    return this.send(link, { proof, ...typed, do: button });
  }

  send(link, fields) {
    return this.#go(link, { method: 'POST', body: new URLSearchParams(fields) });
  }
}

/** What a person types for a secret of each type. */
export const TYPED = {
  plain: () => ({ value: ` ${value()} +&=%ü"<` }),
  bearer: () => ({ value: value() }),
  basic: () => ({ username: 'ann@example.com', password: `${value()} :ü` }),
};

/** A contact that the account vouches for. */
export const ann = async (api = contact) => (await api.create({ name: 'Ann', verifiedAt: Date.now() })).id;

/** A secret of which each contact has a value of its own. */
export const personal = async (more = {}, api = secret) => (await api.create({ kind: 'personal', ...more })).id;

/** A contact, and a secret of this type that it may connect. */
export const pair = async (type = 'plain') => [await ann(), await personal({ type, name: unique(type) })];

/** What a backend does that has the credential already. */
export async function connect(at, to, body = { value: value() }, token = TOKEN) {
  const answer = await fetch(`${url}/api/v1/contact/${at}/secret/${to}/connect`, {
    method: 'POST', body: JSON.stringify(body),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
  });
  return { status: answer.status, body: await answer.json() };
}

export const linkOf = async (verifying) => {
  const { status, action } = await verifying;
  assert.equal(status, 'unauthenticated');
  assert.equal(action.type, 'authenticate');
  pathOf(action.url);
  return action.url;
};
