// The published ChatBotKit package for Node, unmodified, against a running Keyfob: what contacts connect.
// tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOKEN, child, client, ids, notAuthenticated, notFound, refused, streamed } from './chatbotkit-support.mjs';
import { Browser, TYPED, ann, connect, linkOf, pair, pathOf, personal } from './connection-support.mjs';
import { alias, value } from './secret-support.mjs';
import { env, unique, url } from './support.mjs';

const { contact, secret } = client();
const connections = contact.secret;
const agent = client({ secret: env('KEYFOB_AGENT_TOKEN') }).contact.secret;

const conflict = (promise, message) => refused(promise, 'CONFLICT', message);
const notOfContact = (promise) => conflict(promise, 'Cannot obtain secret for this secret type');
const authenticated = async (at, to, api = connections) => assert.deepEqual(await api.verify(at, to), { id: to, status: 'authenticated' });

// --- connecting ---

for (const [type, typed] of Object.entries(TYPED)) {
  test(`a person hands a ${type} credential over in a browser, and verify says so`, async () => {
    const [at, to] = await pair(type);
    const { id, status, reason, action, ...more } = await agent.verify(at, to);
    assert.deepEqual({ id, status, reason, more }, { id: to, status: 'unauthenticated', reason: 'the contact has not connected it', more: {} });
    assert.deepEqual(Object.keys(action), ['type', 'url']);
    assert.equal(action.type, 'authenticate');
    const person = new Browser();
    const page = await person.submit(action.url, typed());
    assert.equal(page.status, 200, page.text);
    assert.match(page.text, /is connected/);
    await authenticated(at, to, agent);
    for (const browser of [person, new Browser()]) {
      const again = await browser.open(action.url);
      assert.equal(again.status, 410);
      assert.match(again.text, /Connected already/);
    }
  });

  test(`a backend hands a ${type} credential over, and verify says so`, async () => {
    const [at, to] = await pair(type);
    const link = await linkOf(connections.verify(at, to));
    assert.deepEqual(await connect(at, to, typed()), { status: 200, body: { id: to } });
    await authenticated(at, to);
    // The link still works, and what is entered now takes the place of what is there.
    assert.match((await new Browser().submit(link, typed())).text, /is connected/);
    await authenticated(at, to);
  });
}

test('the page says who asks whom for what, and where it may be sent', async () => {
  const to = await personal({ type: 'bearer', name: 'Weather & more', description: 'For your trips', config: { hosts: ['api.weather.example'] } });
  const at = await ann();
  const { status, text } = await new Browser().open((await connections.authenticate(at, to)).url);
  assert.equal(status, 200);
  for (const shown of ['Connect Weather & more', 'For your trips', '<li>api.weather.example</li>', 'you, <strong>Ann</strong>,', 'an access token']) {
    assert.ok(text.includes(shown), `${shown}: ${text}`);
  }
});

test('a refused entry is told, and the link still works in that browser only', async () => {
  const [at, to] = await pair('bearer');
  const { url: link } = await connections.authenticate(at, to);
  const person = new Browser();
  const refusal = await person.submit(link, { value: `${value()} with a blank` });
  assert.equal(refusal.status, 400);
  assert.match(refusal.text, /Not stored/);
  await linkOf(connections.verify(at, to));
  assert.equal((await new Browser().open(link)).status, 403);
  assert.match((await person.submit(link, { value: value() })).text, /is connected/);
  await authenticated(at, to);
});

test('who declines leaves the secret unauthenticated, and the link is over', async () => {
  const [at, to] = await pair('basic');
  const link = await linkOf(connections.verify(at, to));
  const person = new Browser();
  assert.match((await person.submit(link, TYPED.basic(), 'decline')).text, /You declined/);
  assert.equal((await person.open(link)).status, 410);
  assert.notEqual(await linkOf(connections.verify(at, to)), link, 'the next link is a new one');
});

test('a form without its proof, or from another browser, stores nothing', async () => {
  const [at, to] = await pair();
  const { url: link } = await connections.authenticate(at, to);
  const person = new Browser();
  await person.open(link);
  for (const fields of [{ ...TYPED.plain() }, { proof: 'x', ...TYPED.plain() }]) {
    assert.equal((await person.send(link, fields)).status, 403);
    assert.equal((await new Browser().send(link, fields)).status, 403);
  }
  await linkOf(connections.verify(at, to));
});

test('a link that never was is not found', async () => {
  assert.equal((await new Browser().open(`${env('KEYFOB_PUBLIC_URL')}/connect/${'A'.repeat(43)}`)).status, 404);
});

// --- verify, authenticate, revoke ---

test('verify gives the same link again, authenticate a new one each time, and all of them work', async () => {
  const [at, to] = await pair();
  const first = await linkOf(connections.verify(at, to));
  assert.equal(await linkOf(connections.verify(at, to)), first);
  const links = [first];
  for (let i = 0; i < 2; i += 1) {
    const { id, url: link, ...more } = await agent.authenticate(at, to);
    assert.deepEqual({ id, more }, { id: to, more: {} });
    links.push(link);
  }
  assert.equal(new Set(links.map(pathOf)).size, 3);
  for (const link of links) assert.match((await new Browser().submit(link, TYPED.plain())).text, /is connected/);
});

test('a connection is revoked as often as one likes, and takes the open links with it', async () => {
  const [at, to] = await pair();
  assert.deepEqual(await connections.revoke(at, to), { id: to }, 'what was never connected can be revoked');
  for (let i = 0; i < 2; i += 1) {
    await connect(at, to);
    await authenticated(at, to);
    assert.deepEqual(ids((await connections.list(at)).items), [to]);
    const { url: link } = await connections.authenticate(at, to);
    assert.deepEqual(await connections.revoke(at, to), { id: to });
    assert.deepEqual(await connections.revoke(at, to), { id: to });
    assert.deepEqual((await connections.list(at)).items, []);
    assert.equal((await new Browser().open(link)).status, 410);
    await linkOf(connections.verify(at, to));
  }
});

test('a secret is named by its id, its @alias or its (name) in every path', async () => {
  const [mine, name, at] = [alias(), unique('Zoë (own) 🔑'), await ann()];
  const to = await personal({ alias: mine, name });
  for (const named of [to, `@${mine}`, `(${name})`]) {
    assert.equal((await connections.verify(at, named)).id, to);
    const { id, url: link } = await connections.authenticate(at, named);
    assert.equal(id, to);
    assert.match((await new Browser().submit(link, TYPED.plain())).text, /is connected/);
    assert.equal((await connections.verify(at, named)).status, 'authenticated');
    assert.deepEqual(await connections.revoke(at, named), { id: to });
  }
});

// --- refusals ---

test('a contact that nobody vouches for connects nothing', async () => {
  const [{ id: at }, to] = [await contact.create({ name: 'Bob' }), await personal()];
  await conflict(connections.verify(at, to), 'Cannot verify secret for this secret configuration');
  await conflict(connections.authenticate(at, to), 'Cannot authenticate secret for this secret configuration');
  const { status, body } = await connect(at, to);
  assert.deepEqual([status, body.code, body.message], [409, 'CONFLICT', 'Cannot connect secret for this secret configuration']);
  assert.deepEqual(await connections.revoke(at, to), { id: to });
});

test('a shared secret is nothing that a contact connects', async () => {
  const at = await ann();
  const [{ id: given }, { id: empty }] = [await secret.create({ value: value() }), await secret.create({})];
  await authenticated(at, given);
  await notOfContact(connections.verify(at, empty));
  for (const to of [given, empty]) {
    await notOfContact(connections.authenticate(at, to));
    await notOfContact(connections.revoke(at, to));
    assert.equal((await connect(at, to)).status, 409);
  }
  assert.equal((await secret.verify(given)).status, 'authenticated', 'its value is untouched');
});

test('what nobody can type has no link that could only fail', async () => {
  const [at, to] = await pair('oauth');
  const { status, action } = await connections.verify(at, to);
  assert.deepEqual({ status, action }, { status: 'unauthenticated', action: undefined });
  const error = await connections.authenticate(at, to).catch((thrown) => thrown);
  assert.equal(error.code, 'NOT_CONNECTABLE');
});

test('an agent key lists, verifies and authenticates, and is NOT_AUTHORIZED to connect or revoke', async () => {
  const [at, to] = await pair();
  const { status, body } = await connect(at, to, { value: value() }, env('KEYFOB_AGENT_TOKEN'));
  assert.deepEqual([status, body.code], [403, 'NOT_AUTHORIZED']);
  await connect(at, to);
  const message = "Not authorized: this key may not do that";
  for (const named of [to, '@nobody']) await refused(agent.revoke(at, named), 'NOT_AUTHORIZED', message);
  await authenticated(at, to, agent);
  assert.deepEqual(ids((await agent.list(at)).items), [to]);
});

test('a wrong token or none is NOT_AUTHENTICATED', async () => {
  const [at, to] = await pair();
  for (const wrong of [`${TOKEN}x`, 'nonsense', '']) {
    const { secret: nobodys } = client({ secret: wrong }).contact;
    for (const call of ['list', 'verify', 'authenticate', 'revoke']) await notAuthenticated(nobodys[call](at, to));
    await notAuthenticated(streamed(nobodys.list(at)));
  }
});

test('foreign, deleted and malformed contacts and secrets are one and the same NOT_FOUND', async () => {
  const { contact: theirs, secret: their } = await child();
  const [at, to] = await pair();
  const foreign = [await ann(theirs), await personal({}, their)];
  const deleted = await pair();
  await contact.delete(deleted[0]);
  await secret.delete(deleted[1]);
  for (const nobody of [foreign[0], deleted[0], 'con_00000000000000000000000000', 'nonsense', 'a b', '%00', 'ü', '@x', '(Ann)']) {
    await notFound(connections.list(nobody));
    await notFound(streamed(connections.list(nobody)));
    for (const call of ['verify', 'authenticate', 'revoke']) await notFound(connections[call](nobody, to));
    assert.equal((await connect(encodeURIComponent(nobody), to)).status, 404);
  }
  for (const nothing of [foreign[1], deleted[1], 'sec_00000000000000000000000000', 'nonsense', 'a b', '%00', 'ü', '@nobody', '(nobody)', '@', '()']) {
    for (const call of ['verify', 'authenticate', 'revoke']) await notFound(connections[call](at, nothing));
    assert.equal((await connect(at, encodeURIComponent(nothing))).status, 404);
  }
});

test('a refusal is byte for byte the same for a foreign id and a random one', async () => {
  const { contact: theirs, secret: their } = await child();
  const [at, to] = await pair();
  const [them, it] = [await ann(theirs), await personal({ visibility: 'private' }, their)];
  const answer = async (path) => {
    const { status, headers, body } = await fetch(`${url}/api/v1/contact/${path}`, {
      method: 'POST', body: '{}', headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    }).then(async (got) => ({ status: got.status, headers: Object.fromEntries(got.headers), body: await got.text() }));
    const id = headers['x-request-id'] ?? JSON.parse(body).request_id;
    delete headers.date;
    return JSON.stringify({ status, headers, body }).replaceAll(id, 'ID');
  };
  for (const call of ['verify', 'authenticate', 'revoke']) {
    const random = await answer(`con_00000000000000000000000000/secret/${to}/${call}`);
    assert.equal(await answer(`${them}/secret/${to}/${call}`), random);
    assert.equal(await answer(`${at}/secret/${it}/${call}`), random);
  }
});

// --- child accounts ---

test('what is run as a child is in its account, and uses what its parent lets it', async () => {
  const { id: account, email, token, contact: byId } = await child();
  const at = await ann(byId);
  const mine = alias();
  const to = await personal({ alias: mine, visibility: 'protected' });
  const hidden = await personal();
  for (const options of [{ runAsUserId: account }, { runAsChildUserEmail: email }, { secret: token }]) {
    const { secret: own } = client(options).contact;
    const link = await linkOf(own.verify(at, `@@${mine}`));
    assert.match((await new Browser().submit(link, TYPED.plain())).text, /is connected/);
    await authenticated(at, to, own);
    assert.deepEqual(ids((await own.list(at)).items), [to]);
    await notFound(own.verify(at, hidden));
    assert.deepEqual(await own.revoke(at, to), { id: to });
  }
  for (const call of ['verify', 'authenticate', 'revoke']) await notFound(connections[call](at, to));
  await notFound(connections.list(at));
  await notAuthenticated(client({ runAsUserId: 'acc_00000000000000000000000000' }).contact.secret.list(at));
});
