// What the tests of the ChatBotKit package share: its client, accounts of their own, lists, and what a refusal is.
// Of the package only the base URL is set.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { ChatBotKit } from '@chatbotkit/sdk';
import { cuttingProxy, env, url } from './support.mjs';

export const TOKEN = env('KEYFOB_TOKEN');
export const client = (options) => new ChatBotKit({ secret: TOKEN, baseUrl: url, ...options });

/** A child account of its own, so that nothing of others is in a test's lists. */
export async function child() {
  const email = `${randomUUID()}@example.com`;
  const owner = client({ secret: env('KEYFOB_OWNER_TOKEN') });
  const account = await owner.clientFetch('/api/v1/account/create', { record: { email } });
  appendFileSync(env('KEYFOB_TOKENS_SEEN'), `${account.key.token}\n${account.key.secret}\n`);
  const { contact, secret } = client({ runAsUserId: account.id });
  return { id: account.id, email, token: account.key.token, contact, secret };
}

/** Waits for the call to fail as this client tells it: with a code and a message, and no status. */
export async function refused(promise, code, message) {
  const error = await promise.then(() => assert.fail(`expected ${code}`), (thrown) => thrown);
  assert.equal(error.name, 'FetchError', error.stack);
  assert.deepEqual({ code: error.code, message: error.message }, { code, message });
}

export const notFound = (promise) => refused(promise, 'NOT_FOUND', 'Not found');
export const notAuthenticated = (promise) => refused(promise, 'NOT_AUTHENTICATED', 'Not authenticated');
export const taken = (promise) => refused(promise, 'CONFLICT', 'Unique constraint violation');

export async function all(iterator) {
  const items = [];
  for await (const item of iterator) items.push(item);
  return items;
}

export async function streamed(list) {
  return (await all(list.stream())).map(({ type, data }) => {
    assert.equal(type, 'item');
    return data;
  });
}

export const ids = (items) => items.map((item) => item.id);

/** The ids of all pages of three, up to the empty one. */
export async function walk(api, order) {
  const pages = [];
  let cursor;
  for (;;) {
    const page = await api.list({ take: 3, order, cursor });
    assert.equal(typeof page.cursor, 'string');
    if (page.items.length === 0) return pages;
    assert.equal(page.cursor, page.items.at(-1).id);
    pages.push(ids(page.items));
    ({ cursor } = page);
  }
}

/** Names with characters of one to four bytes, joined and combining ones, and separators that are no line ends in JSON. */
const NAMES = [
  'Zoë Ünal', '日本 太郎', '홍길동', 'محمد علي', 'हिन्दी नाम', 'สมชาย', 'Ελένη', 'Юлия', 'שרה', '👩‍👩‍👧‍👦 family', '𝒵𝑜𝑒 𐍈', 'e\u0301a\u0308',
  'one\u2028two\u2029three', '"quoted" \\u00e9 \\n', '\u{10ffff}\ue000', '</script>',
];
export const nameOf = (i) => `${NAMES[i % NAMES.length]} ${i}`;

/** The platform's fetch, whose answers come in pieces of so many bytes, in the middle of characters too. */
export const inPiecesOf = (size) => async (address, init) => {
  const answer = await fetch(address, init);
  const cut = new TransformStream({
    transform(chunk, controller) {
      for (let at = 0; at < chunk.length; at += size) controller.enqueue(chunk.slice(at, at + size));
    },
  });
  return new Response(answer.body.pipeThrough(cut), answer);
};

/** A client whose first connections are cut, and what came of each attempt. */
export async function cutClient(t, { before, cuts }, options) {
  const { attempts, baseURL } = await cuttingProxy(t, { before, cuts });
  const answers = () => attempts.flatMap(({ answer }) => answer ?? []);
  const checkAttempts = () => {
    assert.equal(attempts.length, cuts + 1);
    assert.equal(answers().length, before === 'answer' ? cuts + 1 : 1);
  };
  return { api: client({ baseUrl: baseURL, ...options }), answers, checkAttempts };
}
