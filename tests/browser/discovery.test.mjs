// A person connects at a certified provider of which the secret's config says hardly more than where it is: Keyfob reads the rest, and registers a client.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { revoke, somebody, stayAlive } from './alive.mjs';
import { letIn, openProvider, toCode } from './device-support.mjs';
import { CONNECTED, connect, goOn, inBrowserAt, mailLink, toProvider, works } from './oauth-support.mjs';
import { consent, DEVICE_GRANT, provider } from './provider.mjs';
import { account, clients, close, noted, open, shows, until, verified } from './support.mjs';

const at = await provider();
after(async () => {
  at.stop();
  await close();
});

/** A link for a secret whose config says this, and where its tokens may be sent. */
const linkBy = (config, options) => mailLink(at, { ...options, credential: { config: { hosts: ['127.0.0.1'], ...config } } });
const clientOf = (person) => at.answersTo(person)[0].client;

test('an issuer alone is enough to connect, to stay connected and to be revoked, and all contacts share one client', async () => {
  const owner = await account();
  const before = at.seen.registered.length;
  const to = await linkBy({ issuer: at.origin, scope: 'openid' }, { owner });
  const [ann, bob] = [somebody(), somebody()];
  await inBrowserAt(at, async (context) => {
    await connect(context, at, to, ann);
    await stayAlive(at, to, ann, 4);
  });
  const theirs = await linkBy({}, { owner, secret: to.secret, contact: 'Bob' });
  await inBrowserAt(at, (context) => connect(context, at, theirs, bob));
  await works(at, theirs);
  assert.deepEqual(at.seen.registered.slice(before), [clientOf(ann)], 'one client was registered');
  assert.equal(clientOf(bob), clientOf(ann));
  await revoke(at, to, ann);
  assert.equal(await verified(theirs), 'authenticated', 'what another contact has connected is left alone');
  await stayAlive(at, theirs, bob, 2);
});

test('what the config names wins, and a client is registered all the same', () => inBrowserAt(at, async (context) => {
  const config = { issuer: at.origin, authorizationUrl: `${at.origin}/auth?prompt=consent`, scope: 'openid offline_access' };
  const [to, person] = [await linkBy(config), somebody()];
  await connect(context, at, to, person);
  const { scopes } = await to.post('verify');
  assert.deepEqual(scopes.toSorted(), ['offline_access', 'openid']);
  await stayAlive(at, to, person, 2);
}));

test('a client that the provider has forgotten is replaced when somebody connects anew', () => inBrowserAt(at, async (context) => {
  const [to, person] = [await linkBy({ issuer: at.origin, scope: 'openid' }), somebody()];
  await connect(context, at, to, person);
  const first = clientOf(person);
  await at.forget(first);
  // A renewal is what finds out, and one of so short a life is made for who asks.
  await until('Keyfob has forgotten it too', async () => {
    await to.post('mint').catch(() => undefined);
    return (await clients(to)).includes('client_forgotten');
  });
  const page = await toProvider(context, at, { url: noted((await to.post('authenticate')).url) });
  await consent(page);
  await shows(page, CONNECTED);
  await works(at, to);
  const second = at.answersTo(person).at(-1).client;
  assert.notEqual(second, first);
  assert.deepEqual(await clients(to), ['client_registered', 'client_forgotten', 'client_registered']);
}));

test('a person who is to enter a code does so for a client that was registered', () => inBrowserAt(at, async (context) => {
  const config = { issuer: at.origin, deviceAuthorizationUrl: `${at.origin}/device/auth`, scope: 'openid' };
  const [to, person] = [await linkBy(config), somebody()];
  const page = await toCode(context, to);
  await letIn(await openProvider(page), person);
  await shows(page, CONNECTED);
  assert.ok(at.seen.registered.includes(clientOf(person)));
  await stayAlive(at, to, person, 2, DEVICE_GRANT);
}));

test('all of it works without JavaScript', () => inBrowserAt(at, async (context) => {
  const [to, person] = [await linkBy({ issuer: at.origin, scope: 'openid' }), somebody()];
  await connect(context, at, to, person);
  await works(at, to);
}, { javaScriptEnabled: false }));

test('a provider that says nothing of itself is named, and nothing is stored', () => inBrowserAt(at, async (context) => {
  const to = await linkBy({ issuer: `${at.origin}/nowhere` });
  const page = await open(context, to);
  await goOn(page);
  await shows(page, 'Mail is not connected');
  assert.equal(await verified(to), 'unauthenticated');
}, { errors: [/status of 502/] }));
