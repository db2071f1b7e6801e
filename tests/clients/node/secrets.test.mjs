// The published ChatBotKit package for Node, unmodified, against a running Keyfob: the secrets of an account.
// tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  TOKEN, all, child, client, cutClient, ids, inPiecesOf, nameOf, notAuthenticated, notFound, refused, streamed, taken, walk,
} from './chatbotkit-support.mjs';
import { CANARY, MASK, alias, badRequest, value, withoutValue } from './secret-support.mjs';
import { env, unique } from './support.mjs';

const { secret } = client();

const KINDS = ['shared', 'personal'];
const VISIBILITIES = ['private', 'protected', 'public'];
/** A config that suits each type. */
const CONFIGS = {
  plain: null,
  basic: { username: 'me' },
  bearer: { schema: 'Token' },
  jwt: { algorithm: 'ES256', expiresInSeconds: 60, claims: { aud: ['x'] } },
  oauth: { clientId: 'me', authorizationUrl: 'https://auth.example.com/authorize?prompt=consent', tokenUrl: 'https://auth.example.com/token' },
  template: { template: 'microsoft-graph', parameters: { tenant: 'common' } },
  reference: { reference: '@other' },
};

const noValue = (promise) => refused(promise, 'CONFLICT', 'Personal secrets cannot have a value');

const fetchOf = async (at) => withoutValue(await secret.fetch(at));

// --- the five calls ---

test('a secret is fetched as it was created, without its value', async () => {
  const given = {
    alias: alias(), name: 'Zoë 日本 🔑', description: 'of\nSales', blueprintId: 'blueprint 1', kind: 'shared', type: 'bearer',
    visibility: 'protected', config: { schema: 'Token', hosts: ['*.example.com'] }, meta: { team: 'x', deep: { n: [1, null] } },
  };
  const before = Date.now();
  const { id, ...more } = await secret.create({ ...given, value: value() });
  assert.deepEqual(more, {});
  const { createdAt, updatedAt, ...rest } = await fetchOf(id);
  assert.deepEqual(rest, { ...given, id });
  assert.equal(createdAt, updatedAt);
  assert.ok(createdAt >= before - 1 && createdAt <= Date.now() + 1, `createdAt ${createdAt}`);
});

test('what a secret is not given is null, and it is shared, plain and private', async () => {
  const { id } = await secret.create({});
  const { id: _, createdAt: _c, updatedAt: _u, ...rest } = await fetchOf(id);
  assert.deepEqual(rest, {
    alias: null, name: '', description: '', blueprintId: null, kind: 'shared', type: 'plain', config: null, visibility: 'private', meta: null,
  });
});

test('every kind, type and visibility is kept, created so or updated to it', async () => {
  const { id: changed } = await secret.create({});
  for (const kind of KINDS) {
    for (const [type, config] of Object.entries(CONFIGS)) {
      for (const visibility of VISIBILITIES) {
        const given = { kind, type, config, visibility };
        const { id } = await secret.create(given);
        assert.deepEqual(await secret.update(changed, given), { id: changed });
        for (const at of [id, changed]) {
          const { kind: k, type: t, config: c, visibility: v } = await fetchOf(at);
          assert.deepEqual({ kind: k, type: t, config: c, visibility: v }, given);
        }
      }
    }
  }
});

test('an update changes what it names and nothing else, the alias stays too', async () => {
  const given = { alias: alias(), name: 'A', description: 'd', type: 'bearer', value: value(), config: { schema: 'Token' }, meta: { a: 1, b: 2 } };
  const { id } = await secret.create(given);
  const before = await fetchOf(id);
  assert.deepEqual(await secret.update(id, { name: 'B', description: null, meta: { $update: { b: null, c: 3 } } }), { id });
  const after = await fetchOf(id);
  assert.deepEqual(after, { ...before, name: 'B', description: '', meta: { a: 1, c: 3 }, updatedAt: after.updatedAt });
  assert.ok(after.updatedAt >= before.updatedAt);
  await secret.update(id, { alias: '', config: null, meta: { only: true } });
  const { alias: none, config, meta } = await fetchOf(id);
  assert.deepEqual({ none, config, meta }, { none: null, config: null, meta: { only: true } });
});

test('a personal secret has no value, and one that becomes personal loses its own', async () => {
  const name = unique('never made');
  await noValue(secret.create({ kind: 'personal', value: value(), meta: { name } }));
  assert.deepEqual(await streamed(secret.list({ meta: { name } })), []);
  const { id } = await secret.create({ kind: 'personal', value: null });
  await noValue(secret.update(id, { value: value() }));
  const { id: other } = await secret.create({ value: value() });
  await noValue(secret.update(other, { kind: 'personal', value: value() }));
  assert.equal((await fetchOf(other)).kind, 'shared', 'nothing of a refused update is done');
  await secret.update(id, { kind: 'shared', value: value() });
  await secret.update(other, { kind: 'personal' });
  assert.deepEqual([(await fetchOf(id)).kind, (await fetchOf(other)).kind], KINDS);
});

test('a secret is named by its id, its @alias or its (name) in every path', async () => {
  // This client puts what it is given into its paths as it is.
  for (const name of [unique('My (own) name'), unique('Zoë 日本 🔑'), unique("it's; a=b,c:d@e!")]) {
    const mine = alias();
    const { id } = await secret.create({ alias: mine, name });
    for (const at of [id, `@${mine}`, `(${name})`]) {
      assert.equal((await fetchOf(at)).id, id, at);
      assert.deepEqual(await secret.update(at, { description: at }), { id });
      assert.equal((await fetchOf(id)).description, at);
    }
    assert.deepEqual(await secret.delete(`@${mine}`), { id });
  }
});

test('a deleted secret is gone for every call, and its alias is free', async () => {
  const mine = alias();
  const { id } = await secret.create({ alias: mine, value: value() });
  assert.deepEqual(await secret.delete(id), { id });
  for (const at of [id, `@${mine}`]) {
    await notFound(secret.fetch(at));
    await notFound(secret.update(at, { name: 'x' }));
    await notFound(secret.delete(at));
  }
  const { id: next } = await secret.create({ alias: mine });
  assert.equal((await fetchOf(`@${mine}`)).id, next);
});

// --- config ---

test('what is sensitive in a config is a mask, which keeps it when it comes back', async () => {
  const config = { clientId: 'me', clientSecret: value(), scope: 'read', nested: { api_key: value(), plain: 'x' } };
  const masked = { ...config, clientSecret: MASK, nested: { api_key: MASK, plain: 'x' } };
  const { id } = await secret.create({ kind: 'personal', type: 'oauth', config });
  const { config: shown } = await fetchOf(id);
  assert.deepEqual(shown, masked);

  await secret.update(id, { config: { ...shown, scope: 'write' } });
  assert.deepEqual((await fetchOf(id)).config, { ...masked, scope: 'write' });
  await secret.update(id, { config: { ...shown, clientSecret: value() } });
  assert.deepEqual((await fetchOf(id)).config, masked);
  await secret.update(id, { config: { clientSecret: null } });
  assert.deepEqual((await fetchOf(id)).config, { clientSecret: null });
  const keepsNothing = `"config.clientSecret" is "${MASK}", which keeps the stored value, but none is stored: send the value itself`;
  await badRequest(secret.update(id, { config: { clientSecret: MASK } }), keepsNothing);
  await badRequest(secret.create({ type: 'oauth', config: { clientSecret: MASK } }), keepsNothing);
});

test('passwords are masked, and the lists show masks too', async () => {
  const { secret: own } = await child();
  const { id } = await own.create({ type: 'basic', config: { username: 'me', password: value(), pass: '', user: null } });
  const expected = { username: 'me', password: MASK, pass: null, user: null };
  for (const given of [await own.fetch(id), (await own.list()).items[0], (await streamed(own.list()))[0]]) {
    assert.deepEqual(withoutValue(given).config, expected);
  }
});

// --- lists ---

test('pages follow the cursor in both orders, and end with an empty page', async () => {
  const { secret: own } = await child();
  const made = new Set();
  for (let i = 0; i < 7; i += 1) made.add((await own.create({ name: `${i}`, value: value() })).id);
  const [oldest, newest] = [await walk(own, 'asc'), await walk(own, 'desc')];
  assert.deepEqual(oldest.map((page) => page.length), [3, 3, 1]);
  assert.deepEqual(new Set(oldest.flat()), made);
  assert.deepEqual(newest.flat(), oldest.flat().reverse());
  const { items } = await own.list();
  assert.deepEqual(ids(items), newest.flat());
  items.forEach(withoutValue);
  assert.deepEqual(items[0], await own.fetch(items[0].id), 'a list shows what a fetch does');
  assert.equal((await own.list({ take: 1000 })).items.length, 7);
});

test('a list is filtered by meta and by blueprint', async () => {
  const { secret: own } = await child();
  const make = async (blueprintId, meta) => (await own.create({ blueprintId, meta })).id;
  const [one, two] = [await make('b 1', { team: 'x y', 'a&b': '1', vip: true }), await make('b 2', { team: 'x y', plan: { name: 'ü' } })];
  const other = await make(null, { team: 'other' });
  const found = async (query) => {
    const listed = ids((await own.list(query)).items);
    assert.deepEqual(ids(await streamed(own.list(query))), listed, 'a stream is filtered too');
    return new Set(listed);
  };
  assert.deepEqual(await found({ meta: { team: 'x y' } }), new Set([one, two]));
  assert.deepEqual(await found({ meta: { team: 'x y', vip: true } }), new Set([one]));
  assert.deepEqual(await found({ meta: { 'a&b': 1 } }), new Set([one]));
  assert.deepEqual(await found({ meta: { 'plan.name': 'ü' } }), new Set([two]));
  assert.deepEqual(await found({ blueprintId: 'b 1' }), new Set([one]));
  assert.deepEqual(await found({ blueprintId: 'b 2', meta: { team: 'x y' } }), new Set([two]));
  assert.deepEqual(await found({ blueprintId: 'b 1', meta: { plan: 'x' } }), new Set());
  assert.deepEqual(await found({ blueprintId: null }), new Set([one, two, other]));
});

test('hundreds of secrets in many scripts survive a stream, whatever its pieces', async () => {
  const MANY = 330;
  const { id, secret: own } = await child();
  const expected = Array.from({ length: MANY }, (_, i) => nameOf(i));
  await Promise.all(expected.map((name, n) => own.create({ name, value: value(), config: { note: name, token: value() }, meta: { n } })));
  for (const fetchFn of [undefined, inPiecesOf(61), inPiecesOf(1021)]) {
    const items = await streamed(client({ runAsUserId: id, fetchFn }).secret.list());
    items.forEach(withoutValue);
    assert.ok(items.every((item, i) => i === 0 || item.createdAt <= items[i - 1].createdAt), 'newest first');
    items.sort((a, b) => a.meta.n - b.meta.n);
    assert.deepEqual(items.map((item) => item.name), expected);
    assert.deepEqual(items.map((item) => item.config), expected.map((note) => ({ note, token: MASK })));
  }
  assert.equal((await streamed(own.list({ take: 150, order: 'asc' }))).length, 150, 'take is exact, beyond a page too');
});

test('an empty list is an empty stream', async () => {
  const { secret: own } = await child();
  assert.deepEqual(await all(own.list().stream()), []);
});

// --- refusals ---

test('a bad request says which field is wrong, and repeats no value', async () => {
  const { id } = await secret.create({ type: 'oauth' });
  for (const [body, message] of [
    [{ foo: 1 }, '"foo" is not allowed'],
    [{ name: 7 }, '"name" must be a string'],
    [{ value: { secret: CANARY } }, '"value" must be a string'],
    [{ kind: 'mine' }, '"kind" must be one of [shared, personal]'],
    [{ type: 'totp' }, '"type" must be one of [plain, basic, bearer, jwt, oauth, template, reference]'],
    [{ visibility: 'secret' }, '"visibility" must be one of [private, protected, public]'],
    [{ alias: 'Not one' }, 'Alias must contain only lowercase letters, numbers, hyphens, and underscores'],
    [{ type: 'oauth', config: { clientSecret: 7 } }, '"config.clientSecret" must be a string without control characters'],
    [{ type: 'jwt', config: { algorithm: CANARY } }, '"config.algorithm" must be one of [RS256, ES256, EdDSA, HS256]'],
    [{ type: 'template', config: {} }, '"config.template" is required: the name of a template'],
  ]) {
    await badRequest(secret.create(body), message);
    await badRequest(secret.update(id, body), message);
  }
  await badRequest(secret.list({ cursor: 'nonsense' }), '"cursor" is not one of a list');
});

test('a wrong token or none is NOT_AUTHENTICATED, for a stream as well', async () => {
  for (const wrong of [`${TOKEN}x`, 'nonsense', '']) {
    const { secret: nobodys } = client({ secret: wrong });
    await notAuthenticated(nobodys.list());
    await notAuthenticated(nobodys.fetch('@x'));
    await notAuthenticated(nobodys.create({ name: 'never', value: value() }));
    await notAuthenticated(all(nobodys.list().stream()));
  }
});

test('an agent key lists and fetches, and is NOT_AUTHORIZED to change anything', async () => {
  const { secret: agents } = client({ secret: env('KEYFOB_AGENT_TOKEN') });
  const mine = alias();
  const { id } = await secret.create({ alias: mine, value: value(), meta: { mine } });
  assert.deepEqual(await agents.fetch(`@${mine}`), await fetchOf(id));
  assert.deepEqual(ids((await agents.list({ meta: { mine } })).items), [id]);
  const message = "Not authorized: this key may not do that";
  for (const at of [id, `@${mine}`, '@nobody']) {
    await refused(agents.update(at, { value: value() }), 'NOT_AUTHORIZED', message);
    await refused(agents.delete(at), 'NOT_AUTHORIZED', message);
  }
  await refused(agents.create({ value: value() }), 'NOT_AUTHORIZED', message);
  assert.equal((await fetchOf(id)).id, id);
});

test('an alias that another secret has is a CONFLICT, at the first attempt', async () => {
  const mine = alias();
  await secret.create({ alias: mine });
  const { id } = await secret.create({ name: 'other' });
  await taken(secret.create({ alias: mine }));
  await taken(secret.update(id, { alias: mine, name: 'changed' }));
  const { alias: none, name } = await fetchOf(id);
  assert.deepEqual({ none, name }, { none: null, name: 'other' });
});

test('foreign, deleted, malformed and unencoded names are one and the same NOT_FOUND', async () => {
  const deleted = (await secret.create({})).id;
  await secret.delete(deleted);
  const { id: account, secret: other } = await child();
  const [theirs, name] = [alias(), unique('theirs')];
  const foreign = (await other.create({ alias: theirs, name, visibility: 'public', value: value() })).id;
  for (const at of [
    foreign, `@${theirs}`, `(${name})`, `@@${theirs}`, `@${account}@${theirs}`, deleted, 'nonsense', 'a b', 'a b/../c', '..', '', 'x?y#z', '%00',
    '%2e%2e', 'ü', '@', '()', '(nobody)', '@nobody',
  ]) {
    await notFound(secret.fetch(at));
    await notFound(secret.update(at, { name: 'x' }));
    await notFound(secret.delete(at));
  }
  assert.equal((await other.fetch(foreign)).name, name);
});

// --- child accounts ---

test('what is run as a child is in its account only', async () => {
  const { id: account, email, token, secret: byId } = await child();
  const byEmail = client({ runAsChildUserEmail: email }).secret;
  const mine = alias();
  const made = [(await byId.create({ alias: mine })).id, (await byEmail.create({ name: 'by e-mail' })).id];
  for (const api of [byId, byEmail, client({ secret: token }).secret]) {
    assert.deepEqual(new Set(ids((await api.list()).items)), new Set(made));
    assert.equal((await api.fetch(`@${mine}`)).id, made[0]);
  }
  await secret.create({ alias: mine });
  assert.notEqual((await fetchOf(`@${mine}`)).id, made[0], 'an alias is the account\'s own');
  await notAuthenticated(client({ runAsUserId: 'acc_00000000000000000000000000' }).secret.list());
  await notAuthenticated(client({ secret: token, runAsUserId: account }).secret.list());
});

// --- the connection is cut ---

// This client sends a request up to four times, creates too, and says nothing of it. At once, because it waits in between.
describe('a call about secrets whose connection is cut', { concurrency: true }, () => {
  for (const before of ['request', 'answer']) {
    for (const cuts of [1, 3]) {
      const how = `${cuts} times before the ${before}`;
      const arrived = before === 'answer' ? cuts + 1 : 1;
      const through = async (t, options) => {
        const { api, ...rest } = await cutClient(t, { before, cuts }, options);
        return { api: api.secret, ...rest };
      };

      test(`${how}: update has the same answer each time`, async (t) => {
        const { api, answers, checkAttempts } = await through(t);
        const config = { clientSecret: value(), scope: 'read' };
        const { id } = await secret.create({ type: 'oauth', alias: alias(), config, meta: { a: 1 } });
        const mine = alias();
        const change = { alias: mine, value: value(), config: { clientSecret: MASK, scope: 'write' }, meta: { $update: { b: 2 } } };
        await api.update(id, change);
        checkAttempts();
        assert.ok(answers().every((answer) => answer.id === id));
        const { alias: now, config: kept, meta } = await fetchOf(id);
        assert.deepEqual({ now, kept, meta }, { now: mine, kept: { clientSecret: MASK, scope: 'write' }, meta: { a: 1, b: 2 } });
      });

      test(`${how}: reading and listing go on`, async (t) => {
        const { id } = await secret.create({ name: 'read' });
        const { api, checkAttempts } = await through(t);
        assert.equal((await api.fetch(id)).name, 'read');
        checkAttempts();
        const other = await through(t);
        assert.ok(Array.isArray((await other.api.list({ take: 1 })).items));
        other.checkAttempts();
      });

      test(`${how}: a deleted secret is gone, which a repetition finds out`, async (t) => {
        const { id } = await secret.create({ value: value() });
        const { api, checkAttempts } = await through(t);
        if (before === 'request') assert.deepEqual(await api.delete(id), { id });
        else await notFound(api.delete(id));
        checkAttempts();
        await notFound(secret.fetch(id));
      });

      test(`${how}: a create makes one secret where an Idempotency-Key tells that it is the same`, async (t) => {
        const name = unique('with a key');
        const { api, answers, checkAttempts } = await through(t, { headers: { 'idempotency-key': randomUUID() } });
        const { id } = await api.create({ alias: alias(), value: value(), meta: { name } });
        checkAttempts();
        assert.deepEqual(new Set(ids(answers())), new Set([id]));
        assert.deepEqual(ids(await streamed(secret.list({ meta: { name } }))), [id]);
      });

      // As stock clients send it, nothing tells a repeated create from a second one on purpose.
      test(`${how}: a create without a key makes a secret each time it arrives, or one with an alias`, async (t) => {
        const name = unique('without a key');
        const { api, answers, checkAttempts } = await through(t);
        await api.create({ value: value(), meta: { name } });
        checkAttempts();
        assert.equal(new Set(ids(answers())).size, arrived);
        assert.equal((await streamed(secret.list({ meta: { name } }))).length, arrived);

        const named = unique('with an alias');
        const other = await through(t);
        const create = other.api.create({ alias: alias(), meta: { name: named } });
        if (before === 'request') await create;
        else await taken(create);
        other.checkAttempts();
        assert.equal((await streamed(secret.list({ meta: { name: named } }))).length, 1);
      });
    }
  }
});
