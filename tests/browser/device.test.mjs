// A person connects by a code that they enter at a certified provider, in a second tab of Chromium; the first one shows by itself how it went.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { revoke, somebody, stayAlive } from './alive.mjs';
import { codeOn, deviceLink, ENTER, letIn, openProvider, openProviderApart, tells, toCode } from './device-support.mjs';
import { CONNECTED, goOn, inBrowserAt, works } from './oauth-support.mjs';
import { abort, cancel, confirmCode, DEVICE_GRANT, login, provider } from './provider.mjs';
import { button, close, expire, open, REFUSED, shows, tries, verified } from './support.mjs';

const at = await provider();
after(async () => {
  at.stop();
  await close();
});

const OVER = 'nothing came of the last code. It has ended, or was refused.';

describe('a person who enters a code at the provider', { concurrency: 4 }, () => {
  test('is connected, stays so, and what they granted is revoked', () => inBrowserAt(at, async (context) => {
    // Of a client at which no other test counts what was refused.
    const [to, person] = [await deviceLink(at, { client: 'basic' }), somebody()];
    const page = await toCode(context, to);
    const code = await codeOn(page);
    const asked = context.waitForEvent('request', (request) => request.url().startsWith(at.origin));
    const tab = await openProvider(page);
    assert.equal((await (await asked).allHeaders()).referer, undefined, 'the provider does not learn of the link');
    assert.equal(await tab.locator('code').innerText(), code, 'both tabs show the same code');
    assert.equal(await tab.evaluate(() => opener), null, 'nor can it reach the page');
    await letIn(tab, person);
    await tells(page, CONNECTED);
    assert.deepEqual(await tries(to), ['started', 'ok']);
    assert.equal((await context.request.get(to.url)).status(), 410, 'the link works once');
    await stayAlive(at, to, person, 3, DEVICE_GRANT);
    await revoke(at, to, person);
  }));

  test('may do so on another device, with what the page says', () => inBrowserAt(at, async (context) => {
    const [to, person] = [await deviceLink(at), somebody()];
    const page = await toCode(context, to);
    const address = await page.locator('dd').first().innerText();
    await inBrowserAt(at, async (phone) => {
      const theirs = await open(phone, { url: address });
      await theirs.getByPlaceholder('Enter code').fill((await codeOn(page)).toLowerCase());
      await button(theirs, 'Continue').click();
      await letIn(theirs, person);
    });
    await tells(page, CONNECTED);
    await works(at, to);
  }));

  for (const [where, refuse] of [
    ['that shows the code', async (tab) => abort(tab)],
    ['at which they log in', async (tab) => {
      await confirmCode(tab);
      await cancel(tab);
    }],
    ['at which they consent', async (tab) => {
      await confirmCode(tab);
      await login(tab, somebody());
      await button(tab, 'Continue').waitFor();
      await cancel(tab);
    }],
  ]) {
    test(`has declined if they say no at the page ${where}`, () => inBrowserAt(at, async (context) => {
      const to = await deviceLink(at);
      const page = await toCode(context, to);
      const tab = await openProvider(page);
      await refuse(tab);
      await tab.getByText('The Sign-in request was interrupted').waitFor();
      await tells(page, 'You declined');
      assert.equal(await verified(to), 'unauthenticated');
      assert.deepEqual(await tries(to), ['started', 'declined']);
    }, { errors: [REFUSED] }));
  }

  test('needs no JavaScript', () => inBrowserAt(at, async (context) => {
    const [to, person] = [await deviceLink(at), somebody()];
    const page = await toCode(context, to);
    assert.ok(!(await button(page, 'Copy the code').isVisible()));
    const tab = await openProviderApart(page);
    // The provider's page sends the code on by itself, where it can.
    await confirmCode(tab);
    await shows(tab, 'Confirm Device');
    await letIn(tab, person);
    await tells(page, CONNECTED);
    await works(at, to);
  }, { javaScriptEnabled: false }));

  test('has declined without JavaScript too', () => inBrowserAt(at, async (context) => {
    const to = await deviceLink(at);
    const page = await toCode(context, to);
    const tab = await openProviderApart(page);
    await confirmCode(tab);
    await abort(tab);
    await tells(page, 'You declined');
    assert.deepEqual(await tries(to), ['started', 'declined']);
  }, { javaScriptEnabled: false }));

  test('and lets it end is told by itself, and gets another one at the same link', () => inBrowserAt(at, async (context) => {
    const [to, person] = [await deviceLink(at, { client: 'post' }), somebody()];
    at.codeLives.post = 6;
    const page = await toCode(context, to);
    const code = await codeOn(page);
    await page.getByText(OVER).waitFor();
    delete at.codeLives.post;
    await goOn(page);
    await shows(page, ENTER);
    assert.notEqual(await codeOn(page), code);
    await letIn(await openProvider(page), person);
    await tells(page, CONNECTED);
    assert.deepEqual(await tries(to), ['started', 'failed', 'started', 'ok']);
  }));
});

describe('the page with the code', { concurrency: 4 }, () => {
  test('copies it', () => inBrowserAt(at, async (context) => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const page = await toCode(context, await deviceLink(at));
    await button(page, 'Copy the code').click();
    await page.getByRole('status').getByText('Copied.').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await codeOn(page));
  }));

  test('stays as it is while it looks, through failures of the network too', () => inBrowserAt(at, async (context) => {
    const to = await deviceLink(at);
    const page = await toCode(context, to);
    const code = page.locator('#waiting code');
    await code.evaluate((it) => getSelection().selectAllChildren(it));
    const looks = [];
    const minuteLater = async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace('10 more minutes', '9 more minutes') });
    };
    const answers = [(route) => route.abort(), (route) => route.fulfill({ status: 503 }), minuteLater];
    await context.route('**/connect/*?waiting', (route) => {
      looks.push(performance.now());
      return answers[looks.length - 1](route);
    });
    await page.getByText('For 9 more minutes.').waitFor();
    for (const [index, time] of looks.slice(1).entries()) assert.ok(time - looks[index] > 4500, `looks at ${looks}`);
    assert.equal(await page.evaluate(() => getSelection().toString()), await code.innerText(), 'what was selected is selected still');
    assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation').length), 1);
    await button(page, 'Decline').click();
    await tells(page, 'You declined');
  }, { errors: [/net::ERR_FAILED/, /status of 503/] }));

  test('looks at once when the person comes back to it', () => inBrowserAt(at, async (context) => {
    const page = await toCode(context, await deviceLink(at));
    const looked = page.waitForRequest(/[?]waiting$/, { timeout: 4000 });
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await looked;
  }));

  test('says by itself that the link has expired', () => inBrowserAt(at, async (context) => {
    const to = await deviceLink(at);
    const page = await toCode(context, to);
    await expire(to);
    await tells(page, 'This link has expired');
  }, { errors: [REFUSED] }));
});
