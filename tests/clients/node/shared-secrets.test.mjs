// The published ChatBotKit package for Node, unmodified, against a running Keyfob: the one value of an account's secret.
// tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOKEN, child, client, notAuthenticated, notFound, refused } from './chatbotkit-support.mjs';
import { Browser, TYPED, linkOf, pathOf, personal } from './connection-support.mjs';
import { alias, value } from './secret-support.mjs';
import { env, unique } from './support.mjs';

const { secret } = client();
const agent = client({ secret: env('KEYFOB_AGENT_TOKEN') }).secret;
const ACTIONS = ['verify', 'authenticate', 'revoke'];

const made = async (more) => (await secret.create({ name: unique('shared'), ...more })).id;
const authenticated = async (at, api = secret) => assert.equal((await api.verify(at)).status, 'authenticated');

for (const [type, typed] of Object.entries(TYPED)) {
  test(`a person gives a ${type} secret its value in a browser, and verify says so`, async () => {
    const id = await made({ type });
    const { action, ...rest } = await agent.verify(id);
    assert.deepEqual(rest, { id, status: 'unauthenticated', reason: 'it has no value' });
    assert.deepEqual(Object.keys(action), ['type', 'url']);
    const { url: link, ...more } = await agent.authenticate(id);
    assert.deepEqual(more, { id });
    assert.notEqual(pathOf(link), pathOf(action.url));
    assert.match((await new Browser().submit(link, typed())).text, /is connected/);
    assert.deepEqual(await agent.verify(id), { id, status: 'authenticated' });
    assert.equal((await new Browser().open(link)).status, 410);
    // A link gives a first value only.
    assert.equal((await new Browser().open(action.url)).status, 410);
  });
}

test('a value that was created or updated is verified as well', async () => {
  const id = await made({ type: 'basic', value: `ann:${value()}` });
  await authenticated(id);
  await secret.update(id, { value: value() });
  const { status, action } = await secret.verify(id);
  assert.deepEqual({ status, action }, { status: 'unauthenticated', action: undefined }, 'a value of no use, which no link replaces');
});

test('a secret that has its value gets no link until it is revoked', async () => {
  const id = await made({ value: value() });
  const text = 'the secret has its value: revoke it before it is connected anew';
  await refused(secret.authenticate(id), 'ALREADY_CONNECTED', text);
  for (let i = 0; i < 2; i += 1) assert.deepEqual(await secret.revoke(id), { id });
  const link = await linkOf(secret.verify(id));
  assert.match((await new Browser().submit(link, TYPED.plain())).text, /is connected/);
  await authenticated(id);
});

test('a revoke takes the open links with it, and leaves the definition', async () => {
  const id = await made({ type: 'bearer', config: { schema: 'Token' } });
  const { url: link } = await secret.authenticate(id);
  assert.deepEqual(await secret.revoke(id), { id });
  assert.equal((await new Browser().open(link)).status, 410);
  assert.deepEqual((await secret.fetch(id)).config, { schema: 'Token' });
});

test('a secret is named by its id, its @alias or its (name) in every path', async () => {
  const [mine, name] = [alias(), unique('Zoë (own) 🔑')];
  const id = await made({ alias: mine, name });
  for (const at of [id, `@${mine}`, `(${name})`]) {
    assert.equal((await secret.verify(at)).id, id);
    const given = await secret.authenticate(at);
    assert.equal(given.id, id);
    await new Browser().submit(given.url, TYPED.plain());
    await authenticated(at);
    assert.deepEqual(await secret.revoke(at), { id });
  }
});

test('a personal secret has nothing to act on without a contact', async () => {
  const id = await personal();
  await refused(secret.verify(id), 'CONFLICT', 'Cannot verify secret for this secret configuration');
  await refused(secret.authenticate(id), 'CONFLICT', 'Cannot authenticate secret for this secret configuration');
  await refused(secret.revoke(id), 'CONFLICT', 'Conflict');
});

test('an agent key verifies and authenticates, and is NOT_AUTHORIZED to revoke', async () => {
  const id = await made({ value: value() });
  const message = "Not authorized: this key may not do that";
  for (const at of [id, '@nobody']) await refused(agent.revoke(at), 'NOT_AUTHORIZED', message);
  await authenticated(id, agent);
});

test('a wrong token or none is NOT_AUTHENTICATED', async () => {
  const id = await made();
  for (const wrong of [`${TOKEN}x`, 'nonsense', '']) {
    const { secret: nobodys } = client({ secret: wrong });
    for (const call of ACTIONS) await notAuthenticated(nobodys[call](id));
  }
});

test('foreign, deleted and malformed names are one and the same NOT_FOUND', async () => {
  const { secret: other } = await child();
  const foreign = (await other.create({ value: value() })).id;
  const deleted = await made({ value: value() });
  await secret.delete(deleted);
  for (const at of [foreign, deleted, 'sec_00000000000000000000000000', 'nonsense', 'a b', '%00', 'ü', '@', '()', '@nobody', '(nobody)', '@@nobody']) {
    for (const call of ACTIONS) await notFound(secret[call](at));
  }
  await authenticated(foreign, other);
});

test('what is run as a child is in its account only', async () => {
  const { id: account, email, token, secret: byId } = await child();
  const { id } = await byId.create({ name: 'of the child' });
  for (const options of [{ runAsUserId: account }, { runAsChildUserEmail: email }, { secret: token }]) {
    const { secret: own } = client(options);
    await new Browser().submit(await linkOf(own.verify(id)), TYPED.plain());
    await authenticated(id, own);
    assert.deepEqual(await own.revoke(id), { id });
  }
  const parents = await made({ value: value(), visibility: 'public' });
  for (const call of ACTIONS) {
    await notFound(secret[call](id));
    // A shared value is its own account's, however visible the secret is.
    await notFound(byId[call](parents));
  }
});
