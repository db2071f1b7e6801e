// What the page at which a provider sends people back tells the page that opened it, and where it leads the person then.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { agree, goOn, inBrowserAt, mailLink, works } from './oauth-support.mjs';
import { cancel, provider } from './provider.mjs';
import { account, app, close, shows } from './support.mjs';
import { message, popup } from './opener.mjs';

const at = await provider();
after(async () => {
  at.stop();
  await close();
});

test('a page whose origin is registered is told, and the window closes', async () => {
  const { origin } = await app();
  const to = await mailLink(at, { owner: await account({ allowedOrigins: [origin] }) });
  await inBrowserAt(at, async (context) => {
    const { page, told } = await popup(context, origin, to);
    const closed = page.waitForEvent('close');
    await goOn(page);
    // The window may be gone before the click has returned.
    await agree(page, 'ann').catch((error) => assert.match(error.message, /closed/));
    await closed;
    assert.deepEqual(await told(), message(to.secret, undefined, undefined));
  }, { hosts: [origin] });
  await works(at, to);
});

test('it is told of who says no at the provider too, and the window stays', async () => {
  const { origin } = await app();
  const to = await mailLink(at, { owner: await account({ allowedOrigins: [origin] }) });
  await inBrowserAt(at, async (context) => {
    const { page, told } = await popup(context, origin, to);
    await goOn(page);
    await cancel(page);
    await shows(page, 'You declined');
    assert.deepEqual(await told(), message(to.secret, 'access_denied', 'The person declined'));
  }, { hosts: [origin] });
});

for (const javaScriptEnabled of [true, false]) {
  test(`the person goes on to the return URL, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async () => {
    const { origin, requests } = await app();
    const returnUrl = `${origin}/back?x=1`;
    const to = await mailLink(at, { owner: await account({ allowedOrigins: [origin] }), returnUrl });
    await inBrowserAt(at, async (context) => {
      const page = await context.newPage();
      await page.goto(to.url);
      await goOn(page);
      await agree(page, 'ann');
      await page.waitForURL(returnUrl);
      await shows(page, 'Welcome back');
      assert.deepEqual(requests, [{ path: '/back?x=1', referer: undefined }], 'the code is a secret, and nobody is told of it');
    }, { hosts: [origin], javaScriptEnabled });
    await works(at, to);
  });
}
