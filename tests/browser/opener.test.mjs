// What the hosted connect page tells the page that opened it, and where it leads the person afterwards.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { message, popup } from './opener.mjs';
import { account, app, button, close, inBrowser, link, shows, submit, typed } from './support.mjs';

after(close);

/** Connects, and waits until the window has closed itself. */
async function connect(page) {
  const closed = page.waitForEvent('close');
  // The window may be gone before the click has returned.
  await submit(page, { 'Access token': typed() }).catch((error) => assert.match(error.message, /closed/));
  await closed;
}

const KEPT = /Failed to execute 'postMessage'.* does not match the recipient window's origin/;

test('a page whose origin is registered is told, and the window closes', async () => {
  const { origin } = await app();
  const to = await link({ owner: await account({ allowedOrigins: [origin] }) });
  await inBrowser(async (context) => {
    const { page, told } = await popup(context, origin, to);
    await connect(page);
    assert.deepEqual(await told(), message(to.secret, undefined, undefined));
  }, { hosts: [origin] });
});

test('it is told of who declines too, and the window stays', async () => {
  const { origin } = await app();
  const to = await link({ owner: await account({ allowedOrigins: [origin] }) });
  await inBrowser(async (context) => {
    const { page, told } = await popup(context, origin, to);
    await button(page, 'Decline').click();
    await shows(page, 'You declined');
    assert.deepEqual(await told(), message(to.secret, 'access_denied', 'The person declined'));
  }, { hosts: [origin] });
});

test('a page of another origin is told nothing while one is registered', async () => {
  const [{ origin }, registered] = [await app(), await app()];
  const to = await link({ owner: await account({ allowedOrigins: [registered.origin] }) });
  await inBrowser(async (context) => {
    const { page, opener } = await popup(context, origin, to);
    // The browser says that it kept the message back.
    const kept = context.waitForEvent('console', (entry) => KEPT.test(entry.text()));
    await connect(page);
    await kept;
    assert.deepEqual(await opener.evaluate(() => told), []);
  }, { hosts: [origin], errors: [KEPT] });
});

test('a page of one of several registered origins is told once', async () => {
  const [{ origin }, one, other] = [await app(), await app(), await app()];
  const to = await link({ owner: await account({ allowedOrigins: [one.origin, origin, other.origin] }) });
  await inBrowser(async (context) => {
    const { page, told } = await popup(context, origin, to);
    await connect(page);
    assert.deepEqual(await told(), message(to.secret, undefined, undefined));
  }, { hosts: [origin], errors: [KEPT] });
});

test('any page is told while no origin is registered', async () => {
  const { origin } = await app();
  const to = await link();
  await inBrowser(async (context) => {
    const { page, told } = await popup(context, origin, to);
    await connect(page);
    assert.deepEqual(await told(), message(to.secret, undefined, undefined));
  }, { hosts: [origin] });
});

for (const javaScriptEnabled of [true, false]) {
  test(`the person goes on to the return URL, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async () => {
    const { origin, requests } = await app();
    const returnUrl = `${origin}/back?x=1&y=%C3%BC#z`;
    const owner = await account({ allowedOrigins: [origin] });
    await inBrowser(async (context) => {
      const page = await context.newPage();
      await page.goto((await link({ owner, returnUrl })).url);
      await page.getByText(`Then you go on to 127.0.0.1.`).waitFor();
      await submit(page, { 'Access token': typed() });
      await page.waitForURL(returnUrl);
      await shows(page, 'Welcome back');
      assert.deepEqual(requests, [{ path: '/back?x=1&y=%C3%BC', referer: undefined }], 'the link is a secret, and nobody is told of it');
    }, { hosts: [origin], javaScriptEnabled });
  });
}
