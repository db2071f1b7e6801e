// The published ChatBotKit package for Node, unmodified, against a running Keyfob: lists of what contacts have connected.
// tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { all, child, client, ids, inPiecesOf, nameOf, refused, streamed } from './chatbotkit-support.mjs';
import { ann, connect, personal } from './connection-support.mjs';
import { CANARY, value } from './secret-support.mjs';
import { env } from './support.mjs';

const { contact } = client();
const connections = contact.secret;

/** A contact that has connected so many secrets, one after the other, and the secrets. */
async function connected(count) {
  const at = await ann();
  const made = [];
  for (let i = 0; i < count; i += 1) made.push(await personal({ name: `${i}` }));
  // The first one made is connected last: a list goes by the age of connections.
  made.reverse();
  for (const to of made) await connect(at, to);
  return [at, made];
}

/** The ids of all pages, up to the empty one. `next` makes the cursor of a page. */
async function walk(api, at, query, next = (page) => page.cursor) {
  const pages = [];
  let cursor;
  for (;;) {
    const page = await api.list(at, { ...query, cursor });
    assert.equal(typeof page.cursor, 'string');
    if (page.items.length === 0) {
      assert.equal(page.cursor, '');
      return pages;
    }
    assert.ok(!pages.flat().includes(page.items[0].id), 'a page comes again');
    pages.push(ids(page.items));
    cursor = next(page);
  }
}

test('an item says what is connected, and since when, and never the value', async () => {
  const [at, other] = [await ann(), await ann()];
  const given = { name: 'Zoë 日本 🔑', description: 'of\nSales', type: 'bearer', config: { hosts: ['a.example'] }, meta: { team: 'x' } };
  const to = await personal(given);
  await personal({ name: 'not connected' });
  assert.deepEqual(await connections.list(at), { items: [], cursor: '' });
  const before = Date.now();
  await connect(at, to);
  const first = (await connections.list(at)).items;
  await connect(at, to);
  const [item, ...more] = (await connections.list(at)).items;
  assert.deepEqual(more, []);
  const { createdAt, updatedAt, ...rest } = item;
  // `status`, `expiresAt` and `scopes` are more than the original gives.
  assert.deepEqual(rest, {
    id: to, name: given.name, description: given.description, type: 'bearer', meta: null, status: 'authenticated', expiresAt: null, scopes: null,
  });
  assert.ok(createdAt >= before - 1 && createdAt <= updatedAt && updatedAt <= Date.now() + 1, `${createdAt} ${updatedAt}`);
  assert.equal(createdAt, first[0].createdAt, 'connecting anew is no new connection');
  assert.deepEqual(await streamed(connections.list(at)), [item]);
  assert.deepEqual((await client({ secret: env('KEYFOB_AGENT_TOKEN') }).contact.secret.list(at)).items, [item]);
  assert.ok(!JSON.stringify(item).includes(CANARY));
  assert.deepEqual((await connections.list(other)).items, [], 'what somebody else has connected is no business of this contact\'s');
});

test('pages follow the cursor in both orders, and end with an empty page', async () => {
  const [at, made] = await connected(7);
  assert.deepEqual(await walk(connections, at, { take: 3, order: 'asc' }), [made.slice(0, 3), made.slice(3, 6), made.slice(6)]);
  const newest = [...made].reverse();
  assert.deepEqual((await walk(connections, at, { take: 3 })).flat(), newest);
  assert.deepEqual(ids((await connections.list(at, { take: 1000 })).items), newest);
  const byItem = await walk(connections, at, { take: 2 }, (page) => page.items.at(-1).id);
  assert.deepEqual(byItem.flat(), newest, 'the id of the last item is a cursor too');
});

test('a page goes on where it ended, whatever is connected or revoked meanwhile', async () => {
  const [at, made] = await connected(6);
  const page = await connections.list(at, { take: 3 });
  await connections.revoke(at, made[3]);
  await connect(at, await personal());
  const rest = await connections.list(at, { cursor: page.cursor });
  assert.deepEqual(ids(rest.items), [made[2], made[1], made[0]]);
});

test('a cursor that is none is refused', async () => {
  await refused(connections.list(await ann(), { cursor: 'nonsense' }), 'BAD_REQUEST', '"cursor" is not one of a list');
});

test('250 connections in many scripts are listed and streamed to the last, whatever the pieces', async () => {
  const MANY = 250;
  const { id, token, contact: contacts, secret } = await child();
  const at = await ann(contacts);
  const expected = Array.from({ length: MANY }, (_, i) => nameOf(i));
  await Promise.all(expected.map(async (name, n) => {
    const to = await personal({ name, description: `${n}` }, secret);
    assert.equal((await connect(at, to, { value: value() }, token)).status, 200);
  }));
  const newest = await walk(contacts.secret, at, {});
  assert.deepEqual(newest.map((page) => page.length), [100, 100, 50]);
  for (const fetchFn of [undefined, inPiecesOf(61), inPiecesOf(1021)]) {
    const items = await streamed(client({ runAsUserId: id, fetchFn }).contact.secret.list(at));
    assert.deepEqual(ids(items), newest.flat());
    assert.ok(items.every((item, i) => i === 0 || item.createdAt <= items[i - 1].createdAt), 'newest first');
    items.sort((a, b) => Number(a.description) - Number(b.description));
    assert.deepEqual(items.map((item) => item.name), expected);
  }
  const oldest = newest.flat().reverse();
  assert.deepEqual(ids(await streamed(contacts.secret.list(at, { order: 'asc' }))), oldest);
  const some = await streamed(contacts.secret.list(at, { order: 'asc', take: 150 }));
  assert.deepEqual(ids(some), oldest.slice(0, 150), 'take is exact, beyond a page too');
});

test('an empty list is an empty stream', async () => {
  assert.deepEqual(await all(connections.list(await ann()).stream()), []);
});
