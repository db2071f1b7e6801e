// The page of the API: it shows every operation, asks nothing of anybody else, fits a phone, and tries calls with a key that is pasted.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { account, close, inBrowser, url } from './support.mjs';

after(close);

const PHONE = { viewport: { width: 390, height: 844 } };

async function docs(context) {
  const page = await context.newPage();
  const answer = await page.goto(`${url}/docs`);
  assert.equal(answer.status(), 200);
  assert.match(answer.headers()['content-security-policy'], /default-src 'none'.*script-src 'self'/);
  await page.locator('.opblock').first().waitFor();
  return page;
}

const operation = (page, name) => page.locator(`[id$="-${name}"].opblock`);

/** Opens an operation, as far as it goes. */
async function unfold(page, name) {
  await operation(page, name).locator('.opblock-summary-control').first().click();
  await operation(page, name).locator('.responses-inner').waitFor();
}

/** By how much the page is wider than its window, and what is to blame. */
const overflow = (page) => page.evaluate(() => {
  const wide = [...document.querySelectorAll('body *')].filter((it) => it.getBoundingClientRect().right > innerWidth + 1);
  return { by: document.documentElement.scrollWidth - innerWidth, wide: wide.slice(0, 5).map((it) => `${it.tagName}.${it.className}`) };
});

test('the page of the API shows every operation of the document', () => inBrowser(async (context) => {
  const page = await docs(context);
  const { paths } = await (await fetch(`${url}/openapi.json`)).json();
  const names = Object.values(paths).flatMap(Object.values).map(({ operationId }) => operationId);
  assert.ok(names.length > 40);
  for (const name of names) assert.equal(await operation(page, name).count(), 1, name);
}));

for (const colorScheme of ['light', 'dark']) {
  test(`the page of the API fits a phone, ${colorScheme}`, () => inBrowser(async (context) => {
    const page = await docs(context);
    assert.equal((await overflow(page)).by, 0);
    for (const name of ['createSecret', 'listEvents', 'passPost', 'totpCode']) {
      await unfold(page, name);
      const { by, wide } = await overflow(page);
      assert.equal(by, 0, `${name}: ${wide}`);
    }
    await page.getByRole('button', { name: 'Authorize' }).first().click();
    await page.locator('.modal-ux').waitFor();
    assert.equal((await overflow(page)).by, 0);
  }, { ...PHONE, colorScheme }));
}

test('a call is tried with a key that is pasted into the page, which forgets it', () => inBrowser(async (context) => {
  const { id, token } = await account();
  const page = await docs(context);
  await page.getByRole('button', { name: 'Authorize' }).first().click();
  const dialog = page.locator('.modal-ux');
  const form = dialog.locator('.auth-container').filter({ hasText: 'bearer' });
  await form.locator('input').fill(token);
  await form.getByRole('button', { name: /^Apply credentials|^Authorize/ }).click();
  await form.getByRole('button', { name: 'Close', exact: true }).click();
  await unfold(page, 'fetchAccount');
  await operation(page, 'fetchAccount').getByRole('button', { name: 'Execute' }).click();
  const answer = operation(page, 'fetchAccount').locator('.live-responses-table');
  await answer.getByText(id).first().waitFor();
  await page.reload();
  await page.locator('.opblock').first().waitFor();
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.ok(!kept.includes(token));
}));
