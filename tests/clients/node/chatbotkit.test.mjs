// The published ChatBotKit package for Node, unmodified, against a running Keyfob: contacts.
// tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import {
  TOKEN, all, child, client, cutClient, ids, inPiecesOf, nameOf, notAuthenticated, notFound, refused, streamed, taken, walk,
} from './chatbotkit-support.mjs';
import { cuttingProxy, env, unique, url } from './support.mjs';

const { contact } = client();
const fingerprint = () => `customer:${randomUUID()}`;

// --- the six calls ---

test('a contact is fetched as it was created', async () => {
  const given = {
    name: 'Zoë 日本 🔑', description: 'of\nSales', fingerprint: fingerprint(), email: 'zoe@example.com',
    phone: '(202) 456-1111', nick: 'zo', preferences: 'tea', verifiedAt: 1775390400000, meta: { team: 'x', deep: { n: [1, null] } },
  };
  const before = Date.now();
  const { id } = await contact.create(given);
  const { createdAt, updatedAt, ...rest } = await contact.fetch(id);
  assert.deepEqual(rest, { ...given, id, phone: '+12024561111' });
  assert.equal(createdAt, updatedAt);
  assert.ok(createdAt >= before - 1 && createdAt <= Date.now() + 1, `createdAt ${createdAt}`);
});

test('what a contact does not have is null', async () => {
  const { id } = await contact.create({});
  const { id: _, fingerprint: own, createdAt: _c, updatedAt: _u, ...rest } = await contact.fetch(id);
  assert.ok(own.length >= 16);
  assert.deepEqual(rest, {
    name: '', description: '', email: null, phone: null, nick: null, preferences: null, verifiedAt: null, meta: null,
  });
});

test('ensuring a contact at once and again has one id, and the contact is verified', async () => {
  const wanted = { fingerprint: fingerprint(), name: 'Ann' };
  const answers = await Promise.all(Array.from({ length: 20 }, () => contact.ensure(wanted)));
  answers.push(await contact.ensure({ ...wanted, name: 'Bob' }));
  assert.equal(new Set(ids(answers)).size, 1);
  const { name, verifiedAt } = await contact.fetch(answers[0].id);
  assert.equal(name, 'Ann');
  assert.ok(verifiedAt > 0);
});

test('an update changes what it names and nothing else', async () => {
  const { id } = await contact.create({ name: 'Ann', nick: 'a', email: 'ann@example.com', meta: { a: 1, b: 2 } });
  const before = await contact.fetch(id);
  assert.deepEqual(await contact.update(id, { name: 'Bob', nick: null, meta: { $update: { b: null, c: 3 } } }), { id });
  const after = await contact.fetch(id);
  assert.deepEqual(after, { ...before, name: 'Bob', nick: null, meta: { a: 1, c: 3 }, updatedAt: after.updatedAt });
  assert.ok(after.updatedAt >= before.updatedAt);
});

test('a deleted contact is gone for every call', async () => {
  const { id } = await contact.create({});
  assert.deepEqual(await contact.delete(id), { id });
  await notFound(contact.fetch(id));
  await notFound(contact.update(id, { name: 'x' }));
  await notFound(contact.delete(id));
});

test('pages follow the cursor in both orders, and end with an empty page', async () => {
  const { contact: own } = await child();
  const made = new Set();
  for (let i = 0; i < 7; i += 1) made.add((await own.create({ name: `${i}` })).id);
  const [oldest, newest] = [await walk(own, 'asc'), await walk(own, 'desc')];
  assert.deepEqual(oldest.map((page) => page.length), [3, 3, 1]);
  assert.deepEqual(new Set(oldest.flat()), made);
  assert.deepEqual(newest.flat(), oldest.flat().reverse());
  assert.deepEqual(ids((await own.list()).items), newest.flat());
});

test('a list is filtered by what contacts hold in their meta', async () => {
  const { contact: own } = await child();
  const make = async (meta) => (await own.create({ meta })).id;
  const [ann, bob] = [await make({ team: 'x y', 'a&b': '1', vip: true }), await make({ team: 'x y', plan: { name: 'ü' } })];
  await make({ team: 'other' });
  const found = async (meta) => new Set(ids((await own.list({ meta })).items));
  assert.deepEqual(await found({ team: 'x y' }), new Set([ann, bob]));
  assert.deepEqual(await found({ team: 'x y', vip: true }), new Set([ann]));
  assert.deepEqual(await found({ 'a&b': 1 }), new Set([ann]));
  assert.deepEqual(await found({ 'plan.name': 'ü' }), new Set([bob]));
  assert.deepEqual(await found({ team: 'nobody' }), new Set());
  assert.deepEqual(ids(await streamed(own.list({ meta: { vip: true } }))), [ann]);
});

// --- long lists ---

test('five thousand contacts in many scripts survive a stream, whatever its pieces', async () => {
  const MANY = 5000;
  const { id, contact: own } = await child();
  let next = 0;
  const write = async () => {
    while (next < MANY) {
      const i = next;
      next += 1;
      await own.create({ name: nameOf(i), description: nameOf(i + 1), meta: { n: String(i) } });
    }
  };
  await Promise.all(Array.from({ length: 32 }, write));

  const expected = Array.from({ length: MANY }, (_, i) => nameOf(i));
  for (const fetchFn of [undefined, inPiecesOf(61), inPiecesOf(1021)]) {
    const items = await streamed(client({ runAsUserId: id, fetchFn }).contact.list());
    assert.equal(items.length, MANY);
    assert.ok(items.every((item, i) => i === 0 || item.createdAt <= items[i - 1].createdAt), 'newest first');
    items.sort((a, b) => a.meta.n - b.meta.n);
    assert.deepEqual(items.map((item) => item.name), expected);
    assert.ok(items.every((item) => item.description === nameOf(Number(item.meta.n) + 1)));
  }
  const some = await streamed(own.list({ take: 250, order: 'asc' }));
  assert.equal(some.length, 250, 'take is exact, beyond a page too');
});

test('the blanks that a list sends while it finds nothing are nothing', async () => {
  const item = { type: 'item', data: { id: 'con_1' } };
  const lines = `  ${JSON.stringify(item)}\n ${JSON.stringify(item)}\n  `;
  const fetchFn = async () => new Response(lines, { headers: { 'content-type': 'application/jsonl' } });
  assert.deepEqual(await all(client({ fetchFn }).contact.list().stream()), [item, item]);
});

test('an empty list is an empty stream', async () => {
  const { contact: own } = await child();
  assert.deepEqual(await all(own.list().stream()), []);
});

// --- refusals ---

test('a bad request says which field is wrong', async () => {
  for (const [body, message] of [
    [{ foo: 1 }, '"foo" is not allowed'],
    [{ email: 'nobody' }, '"email" must be a valid email'],
    [{ phone: '12' }, '"phone" must be a phone number'],
    [{ fingerprint: 'short' }, 'Fingerprint is too short (fingerprint)'],
  ]) {
    await refused(contact.create(body), 'BAD_REQUEST', message);
    await refused(contact.ensure(body), 'BAD_REQUEST', message);
  }
  await refused(contact.list({ cursor: 'nonsense' }), 'BAD_REQUEST', '"cursor" is not one of a list');
});

test('a wrong secret or none is NOT_AUTHENTICATED, for a stream as well', async () => {
  for (const wrong of [`${TOKEN}x`, 'nonsense', '']) {
    const { contact: nobodys } = client({ secret: wrong });
    await notAuthenticated(nobodys.list());
    await notAuthenticated(nobodys.create({ name: 'never' }));
    await notAuthenticated(all(nobodys.list().stream()));
  }
});

test('an agent key is NOT_AUTHORIZED', async () => {
  const agent = client({ secret: env('KEYFOB_AGENT_TOKEN') });
  const message = "Not authorized: this key may not do that";
  await refused(agent.contact.create({}), 'NOT_AUTHORIZED', message);
  await refused(agent.contact.list(), 'NOT_AUTHORIZED', message);
});

test('a fingerprint that another contact has is a CONFLICT, at the first attempt', async () => {
  const body = { fingerprint: fingerprint() };
  await contact.create(body);
  const { id } = await contact.create({});
  await taken(contact.create(body));
  await taken(contact.update(id, body));
});

test('foreign, deleted, malformed and unencoded ids are one and the same NOT_FOUND', async () => {
  const deleted = (await contact.create({})).id;
  await contact.delete(deleted);
  const foreign = (await (await child()).contact.create({})).id;
  // This client puts ids into its paths as they are.
  for (const id of [foreign, deleted, 'nonsense', 'a b', 'a b/../c', '..', '', 'x?y#z', '%00', '%2e%2e', 'ü', '@alias', '(name)']) {
    await notFound(contact.fetch(id));
    await notFound(contact.update(id, { name: 'x' }));
    await notFound(contact.delete(id));
  }
});

test('every refusal says the same in its body, with the id of the request', async () => {
  const answer = await fetch(`${url}/api/v1/contact/nonsense/fetch`, { headers: { authorization: `Bearer ${TOKEN}` } });
  assert.equal(answer.status, 404);
  assert.equal(answer.headers.get('content-type'), 'application/json');
  const { request_id: id, ...body } = await answer.json();
  assert.deepEqual(body, { message: 'Not found', code: 'NOT_FOUND', error: 'not_found' });
  assert.equal(answer.headers.get('x-request-id'), id);
});

// --- child accounts ---

test('what is run as a child is in its account only', async () => {
  const { id: account, email, token, contact: byId } = await child();
  const byEmail = client({ runAsChildUserEmail: email }).contact;
  const made = [(await byId.create({ name: 'by id' })).id, (await byEmail.create({ name: 'by e-mail' })).id];
  for (const api of [byId, byEmail, client({ secret: token }).contact]) {
    assert.deepEqual(new Set(ids((await api.list()).items)), new Set(made));
  }
  await notFound(contact.fetch(made[0]));
  await notAuthenticated(client({ runAsUserId: 'acc_00000000000000000000000000' }).contact.list());
  await notAuthenticated(client({ secret: token, runAsUserId: account }).contact.list());
});

// --- the connection is cut ---

// This client sends a request up to four times, creates too, and says nothing of it. At once, because it waits in between.
describe('a call whose connection is cut', { concurrency: true }, () => {
  for (const cuts of [1, 3]) {
    test(`${cuts} times before the answer is written: a create makes one contact, and has the first one's id`, async (t) => {
      const name = unique('never answered');
      const made = async () => ids(await streamed(contact.list({ meta: { name } })));
      const lost = async () => { while ((await made()).length === 0) await setImmediate(); };
      const { attempts, baseURL } = await cuttingProxy(t, { before: 'writing', cuts, lost });
      const { id } = await client({ baseUrl: baseURL }).contact.create({ name, meta: { name } });
      assert.equal(attempts.length, cuts + 1);
      assert.deepEqual(await made(), [id]);
      assert.deepEqual(ids([attempts[cuts].answer]), [id]);
    });
  }

  for (const before of ['request', 'answer']) {
    for (const cuts of [1, 3]) {
      const how = `${cuts} times before the ${before}`;
      const through = async (t, options) => {
        const { api, ...rest } = await cutClient(t, { before, cuts }, options);
        return { api: api.contact, ...rest };
      };

      test(`${how}: ensure has one contact and one answer`, async (t) => {
        const { api, answers, checkAttempts } = await through(t);
        const { id } = await api.ensure({ fingerprint: fingerprint(), name: 'Ann' });
        checkAttempts();
        assert.deepEqual(new Set(ids(answers())), new Set([id]));
        assert.equal((await contact.fetch(id)).name, 'Ann');
      });

      test(`${how}: update has the same answer each time`, async (t) => {
        const { api, answers, checkAttempts } = await through(t);
        const { id } = await contact.create({ name: 'Ann', meta: { a: 1 } });
        await api.update(id, { name: 'Bob', meta: { $update: { b: 2 } } });
        checkAttempts();
        assert.ok(answers().every((answer) => answer.id === id));
        const { name, meta } = await contact.fetch(id);
        assert.deepEqual({ name, meta }, { name: 'Bob', meta: { a: 1, b: 2 } });
      });

      test(`${how}: reading and listing go on`, async (t) => {
        const { id } = await contact.create({ name: 'read' });
        const { api, checkAttempts } = await through(t);
        assert.equal((await api.fetch(id)).name, 'read');
        checkAttempts();
        const other = await through(t);
        assert.ok(Array.isArray((await other.api.list({ take: 1 })).items));
        other.checkAttempts();
      });

      test(`${how}: a deleted contact is gone, which a repetition finds out`, async (t) => {
        const { id } = await contact.create({});
        const { api, checkAttempts } = await through(t);
        if (before === 'request') assert.deepEqual(await api.delete(id), { id });
        else await notFound(api.delete(id));
        checkAttempts();
        await notFound(contact.fetch(id));
      });

      test(`${how}: a create makes one contact where an Idempotency-Key tells that it is the same`, async (t) => {
        const name = unique('with a key');
        const { api, answers, checkAttempts } = await through(t, { headers: { 'idempotency-key': randomUUID() } });
        const { id } = await api.create({ name, meta: { name } });
        checkAttempts();
        assert.deepEqual(new Set(ids(answers())), new Set([id]));
        assert.deepEqual(ids(await streamed(contact.list({ meta: { name } }))), [id]);
      });

      // An answer that the proxy has read was sent: nothing tells this create from a second one on purpose.
      test(`${how}: a create without a key makes a contact each time it arrives, or one with a fingerprint`, async (t) => {
        const arrived = before === 'answer' ? cuts + 1 : 1;
        const name = unique('without a key');
        const { api, answers, checkAttempts } = await through(t);
        await api.create({ meta: { name } });
        checkAttempts();
        assert.equal(new Set(ids(answers())).size, arrived);
        assert.equal((await streamed(contact.list({ meta: { name } }))).length, arrived);

        const named = unique('with a fingerprint');
        const other = await through(t);
        const create = other.api.create({ fingerprint: fingerprint(), meta: { name: named } });
        if (before === 'request') await create;
        else await taken(create);
        other.checkAttempts();
        assert.equal((await streamed(contact.list({ meta: { name: named } }))).length, 1);
      });
    }
  }
});
