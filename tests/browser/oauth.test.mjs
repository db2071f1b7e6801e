// A person connects at a certified provider, in Chromium; what is connected stays alive, and is revoked.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { expectEachOnce, revoke, somebody, stayAlive } from './alive.mjs';
import { agree, caughtAnswer, CONNECTED, connect, goOn, inBrowserAt, mailLink, toProvider, works } from './oauth-support.mjs';
import { cancel, consent, login, provider, TWO_SECRETS } from './provider.mjs';
import { close, expire, noted, open, REFUSED, shows, tries, until, url, verified } from './support.mjs';

const at = await provider();
after(async () => {
  at.stop();
  await close();
});

const CALLBACK = `${url}/secrets/oauth/callback`;
const ANSWERED = { errors: [REFUSED] };

const answersTo = (person) => at.answersTo(person);
const grantOf = (person) => answersTo(person).at(-1).grant;

describe('what is connected stays connected, whichever way the client proves who it is', { concurrency: true }, () => {
  for (const client of ['basic', 'post', TWO_SECRETS, 'none', 'a key (ES256)', 'a key (RS256)']) {
    test(`client: ${client}`, () => inBrowserAt(at, async (context) => {
      const [to, person] = [await mailLink(at, { client }), somebody()];
      assert.equal(await verified(to), 'unauthenticated');
      await connect(context, at, to, person);
      const { status, scopes } = await to.post('verify');
      assert.deepEqual([status, scopes.toSorted()], ['authenticated', ['offline_access', 'openid']]);
      await stayAlive(at, to, person, client === 'basic' ? 4 : 2);
    }));
  }
});

test('who goes to the provider comes back to a page that says it is connected, and sees what was asked for', () => inBrowserAt(at, async (context) => {
  const to = await mailLink(at);
  const page = await open(context, to, { heading: 'Connect Mail' });
  const text = (await page.locator('body').innerText()).replaceAll(/\s+/g, ' ');
  for (const wanted of [
    'Acme Travel asks you, Ann Lee, for access to your account at 127.0.0.1.',
    'What is asked for openid offline_access',
    'You sign in at 127.0.0.1, and agree there: Keyfob never sees your password. What it gets instead is stored encrypted. The AI agents of Acme Travel can use it, but never see it.',
  ]) assert.ok(text.includes(wanted), `${wanted}: ${text}`);
  await goOn(page);
  await agree(page, somebody());
  await shows(page, CONNECTED);
  await page.getByText('The AI agents of Acme Travel can use it from now on, but never see it.').waitFor();
  assert.equal(page.url().split('?')[0], CALLBACK);
  assert.deepEqual(await tries(to), ['started', 'ok']);
  assert.equal((await context.request.get(to.url)).status(), 410, 'the link works once');
  await works(at, to);
}));

test('what is revoked is not there for agents at once, and soon is not at the provider', () => inBrowserAt(at, async (context) => {
  const [to, person] = [await mailLink(at), somebody()];
  await connect(context, at, to, person);
  const { access, refresh } = answersTo(person)[0];
  assert.deepEqual([await at.isActive(access), await at.isActive(refresh)], [true, true]);
  await revoke(at, to, person);
}));

test('a grant that the person ends at the provider is said to be over, and can be connected anew', () => inBrowserAt(at, async (context) => {
  // Of a client at which no later test counts what was refused.
  const [to, person] = [await mailLink(at, { client: 'basic' }), somebody()];
  await connect(context, at, to, person);
  await at.withdraw(grantOf(person));
  await until('it is known to be over', async () => (await verified(to)) === 'unauthenticated');
  const { reason, action } = await to.post('verify');
  assert.match(reason, /invalid_grant/);
  // The provider knows its browser still, and only asks whether the person agrees.
  const page = await toProvider(context, at, { url: noted(action.url) });
  await consent(page);
  await shows(page, CONNECTED);
  await works(at, to);
}));

for (const [where, lead] of [['login', async () => {}], ['consent', login]]) {
  test(`who says no at the provider's ${where} page has declined, and what was connected before goes on to work`, () => inBrowserAt(at, async (context) => {
    const to = await mailLink(at);
    await connect(context, at, to, somebody());
    await context.clearCookies({ domain: '127.0.0.1', name: /^_/ });
    const again = { ...to, url: noted((await to.post('authenticate')).url) };
    const page = await toProvider(context, at, again);
    await lead(page);
    if (where === 'consent') await page.getByRole('button', { name: 'Continue', exact: true }).waitFor();
    await cancel(page);
    await shows(page, 'You declined');
    assert.deepEqual(await tries(to), ['started', 'ok', 'started', 'declined']);
    await works(at, to);
  }));
}

test('who goes back from the provider can try again, and only the last try counts', () => inBrowserAt(at, async (context) => {
  const [to, person] = [await mailLink(at), somebody()];
  const page = await toProvider(context, at, to);
  await page.goBack();
  await page.goto(to.url);
  await shows(page, 'Connect Mail');
  await goOn(page);
  await agree(page, person);
  await shows(page, CONNECTED);
  assert.deepEqual(answersTo(person).map(({ type }) => type), ['authorization_code']);
}, ANSWERED));

test('a provider that does not answer is named, harms nothing, and can be tried again', () => inBrowserAt(at, async (context) => {
  const to = await mailLink(at);
  await connect(context, at, to, somebody());
  const again = { url: noted((await to.post('authenticate')).url) };
  at.answers.token = 503;
  const page = await toProvider(context, at, again);
  await consent(page);
  await shows(page, 'Mail is not connected');
  await page.getByText('127.0.0.1 did not answer as it should.').waitFor();
  at.answers.token = undefined;
  assert.equal(await verified(to), 'authenticated');
  await page.goto(again.url);
  await goOn(page);
  await consent(page);
  await shows(page, CONNECTED);
  await works(at, to);
}, { errors: [/status of 502/] }));

test('an answer works in no other browser, and once in the one that asked', () => inBrowserAt(at, async (context) => {
  const [to, person] = [await mailLink(at), somebody()];
  const page = await toProvider(context, at, to);
  const back = await caughtAnswer(page, at, person);
  await inBrowserAt(at, async (theirs) => {
    await open(theirs, { url: back }, { status: 403, heading: 'Open in another browser' });
  }, ANSWERED);
  assert.equal(await verified(to), 'unauthenticated');
  await open(context, { url: back }, { heading: CONNECTED });
  await open(context, { url: back }, { status: 410, heading: 'Connected already' });
  await works(at, to);
  expectEachOnce(at, person);
}, ANSWERED));

test('an answer that comes after the link has expired changes nothing', () => inBrowserAt(at, async (context) => {
  const to = await mailLink(at);
  const page = await toProvider(context, at, to);
  await expire(to);
  await agree(page, somebody());
  await shows(page, 'This link has expired');
  assert.equal(await verified(to), 'unauthenticated');
  assert.deepEqual(await tries(to), ['started', 'refused']);
}, ANSWERED));

test('all of it works without JavaScript', () => inBrowserAt(at, async (context) => {
  const to = await mailLink(at);
  await connect(context, at, to, somebody());
  await works(at, to);
}, { javaScriptEnabled: false }));
