// The published ChatBotKit package for Node, unmodified, against a running Keyfob and a scripted OAuth provider: grants.
// tests/clients/run.sh starts both and sets the environment.

import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { test } from 'node:test';
import { client } from './chatbotkit-support.mjs';
import { Browser, ann, connect, linkOf, personal } from './connection-support.mjs';
import { env, unique } from './support.mjs';

const PROVIDER = env('KEYFOB_PROVIDER');
const [CLIENT, SECRET] = env('KEYFOB_PROVIDER_CLIENT').split(':');
const agent = client({ secret: env('KEYFOB_AGENT_TOKEN') }).contact.secret;
const { secret: connections } = client().contact;

const config = {
  clientId: CLIENT, clientSecret: SECRET, scope: 'read write',
  authorizationUrl: `${PROVIDER}/authorize`, tokenUrl: `${PROVIDER}/token`, revokeUrl: `${PROVIDER}/revoke`,
};

async function control(path, body) {
  const answer = await fetch(`${PROVIDER}/control/${path}`, { method: 'POST', body: JSON.stringify(body) });
  assert.ok(answer.ok, path);
  return answer.json();
}

/** A grant of the provider, as another program may have it. */
async function grant() {
  const { accessToken, refreshToken, expiresAt } = await control('grant', { client: CLIENT, accessTokenLife: 60 });
  appendFileSync(env('KEYFOB_TOKENS_SEEN'), `${accessToken}\n${refreshToken}\n`);
  return { accessToken, refreshToken, expiresAt };
}

const mail = async () => [await ann(), await personal({ type: 'oauth', name: unique('Mail'), config })];

test('a grant that is taken over is verified, and revoked again and again', async () => {
  const [at, to] = await mail();
  const { expiresAt, ...tokens } = await grant();
  assert.deepEqual(await connect(at, to, { ...tokens, expiresAt, scopes: ['read'] }), { status: 200, body: { id: to } });
  const { id, status, scopes } = await agent.verify(at, to);
  assert.deepEqual({ id, status, scopes }, { id: to, status: 'authenticated', scopes: ['read'] });
  const { items: [item] } = await agent.list(at);
  assert.deepEqual([item.id, item.type, item.status, item.scopes], [to, 'oauth', 'authenticated', ['read']]);
  for (let round = 0; round < 2; round += 1) assert.deepEqual(await connections.revoke(at, to), { id: to });
  await linkOf(agent.verify(at, to));
});

test('a person who agrees at the provider connects it, at the link that authenticate answers', async () => {
  const [at, to] = await mail();
  const { id, url } = await agent.authenticate(at, to);
  assert.equal(id, to);
  const person = new Browser();
  const onward = await person.submit(url, {}, 'continue');
  assert.equal(onward.status, 200, onward.text);
  const [, address] = onward.text.match(/content="0; url=([^"]+)"/);
  // The provider agrees at once, and sends the person back.
  const back = (await fetch(address, { redirect: 'manual' })).headers.get('location');
  const done = await person.back(back);
  assert.equal(done.status, 200, done.text);
  assert.match(done.text, /is connected/);
  const { status, scopes } = await agent.verify(at, to);
  assert.deepEqual([status, scopes], ['authenticated', ['read', 'write']]);
});
