// A person at the hosted connect page, in Chromium: what they see, type and press.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, test } from 'node:test';
import { STATES } from './states.mjs';
import { button, close, inBrowser, link, noted, open, shows, submit, typed, verified } from './support.mjs';

after(close);

/** What refuses the form is a 400, which Chromium reports in the console. */
const REFUSED = { errors: [/status of 400/] };
const CONNECTED = 'GitHub is connected';

/** Lets the server answer forms at once, and the browser have the answers only when they are released. */
async function heldBack(page) {
  let [sent, answered, release] = [0];
  const isAnswered = new Promise((resolve) => { answered = resolve; });
  const isReleased = new Promise((resolve) => { release = resolve; });
  await page.route('**/connect/*', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    sent += 1;
    const response = await route.fetch();
    answered();
    await isReleased;
    return route.fulfill({ response });
  });
  return { answered: isAnswered, release, sent: () => sent };
}

test('the page says who asks whom for what, why, where it goes and what happens next', () => inBrowser(async (context) => {
  const page = await open(context, await link(), { heading: 'Connect GitHub' });
  assert.equal(await page.title(), 'Connect GitHub · Keyfob');
  const text = (await page.locator('body').innerText()).replaceAll(/\s+/g, ' ');
  for (const wanted of [
    'Acme Travel asks you, Ann Lee, for an access token.',
    'What it is used for To open issues in your repositories when you ask the assistant to.',
    'Where it may be sent api.github.com',
    'Keyfob stores it encrypted. The AI agents of Acme Travel can use it, but never see it. To have it removed again, ask Acme Travel.',
    'This link works once, for 15 more minutes. Decline if you do not know why you got it.',
  ]) assert.ok(text.includes(wanted), `${wanted}: ${text}`);
}));

test('a contact connects an API key', () => inBrowser(async (context) => {
  const to = await link({ type: 'plain' });
  assert.equal(await verified(to), 'unauthenticated');
  const page = await open(context, to);
  assert.equal(await page.getByLabel('Secret key', { exact: true }).getAttribute('type'), 'password');
  await submit(page, { 'Secret key': typed() });
  await shows(page, CONNECTED);
  await page.getByText('You can close this page.').waitFor();
  assert.equal(await verified(to), 'authenticated');
}));

test('a contact connects a user name and a password', () => inBrowser(async (context) => {
  const to = await link({ type: 'basic' });
  const page = await open(context, to);
  await submit(page, { 'User name': 'ann@example.com', Password: `${typed()} +&=%ü"<` });
  await shows(page, CONNECTED);
  assert.equal(await verified(to), 'authenticated');
}));

test('a private key keeps its lines', () => inBrowser(async (context) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } });
  const to = await link({ type: 'jwt', credential: { config: { algorithm: 'ES256', hosts: ['api.github.com'] } } });
  const page = await open(context, to);
  const sent = page.waitForRequest((request) => request.method() === 'POST');
  await submit(page, { 'Private key': noted(privateKey) });
  // Forms end lines as mail does; the service tests show that what is sent is stored exactly.
  assert.equal(new URLSearchParams((await sent).postData()).get('value'), privateKey.replaceAll('\n', '\r\n'));
  await shows(page, CONNECTED);
  assert.equal(await verified(to), 'authenticated');
}));

test('what is refused is said at once, to eyes and to screen readers, and nothing is shown again', () => inBrowser(async (context) => {
  const to = await link({ type: 'basic' });
  const page = await open(context, to);
  const password = typed();
  await submit(page, { 'User name': 'ann:lee', Password: password });
  const alert = page.getByRole('alert');
  assert.equal(await alert.innerText(), 'Not stored: the user name must not contain a colon. Please enter it again.');
  assert.ok(await alert.isVisible());
  assert.equal(await page.title(), 'Not stored: Connect GitHub · Keyfob');
  for (const label of ['User name', 'Password']) {
    const field = page.getByLabel(label, { exact: true });
    assert.equal(await field.inputValue(), '');
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    assert.equal(await field.getAttribute('aria-describedby'), 'problem');
  }
  assert.equal(await page.evaluate(() => document.activeElement.id), 'username');
  const html = await page.content();
  assert.ok(!html.includes('ann:lee') && !html.includes(password));
  assert.equal(await verified(to), 'unauthenticated');
  await submit(page, { 'User name': 'ann', Password: password });
  await shows(page, CONNECTED);
}, REFUSED));

test('an empty form is not sent', () => inBrowser(async (context) => {
  const page = await open(context, await link());
  const sent = [];
  page.on('request', (request) => sent.push(request.method()));
  await button(page, 'Connect').click();
  assert.equal(await page.evaluate(() => document.activeElement.matches('#value:invalid')), true);
  await submit(page, { 'Access token': typed() });
  await shows(page, CONNECTED);
  assert.deepEqual(sent, ['POST']);
}));

test('a keyboard is enough', () => inBrowser(async (context) => {
  const to = await link({ type: 'basic' });
  const page = await open(context, to);
  const order = [];
  for (let step = 0; step < 4; step += 1) {
    await page.keyboard.press('Tab');
    order.push(await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return [document.activeElement.id || document.activeElement.value, outlineStyle, outlineWidth];
    }));
  }
  const names = ['username', 'password', 'connect', 'decline'];
  assert.deepEqual(order, names.map((name) => [name, 'solid', '3px']), 'each has a focus to be seen');
  await page.getByLabel('User name').focus();
  await page.keyboard.type('ann');
  await page.keyboard.press('Tab');
  await page.keyboard.type(typed());
  await page.keyboard.press('Enter');
  await shows(page, CONNECTED);
  assert.equal(await verified(to), 'authenticated');
}));

test('who declines need not fill in anything, and nothing is stored', () => inBrowser(async (context) => {
  const to = await link();
  const page = await open(context, to);
  await button(page, 'Decline').click();
  await shows(page, 'You declined');
  assert.equal(await verified(to), 'unauthenticated');
}));

test('who presses twice on a slow line gets to see that it worked', () => inBrowser(async (context) => {
  const page = await open(context, await link());
  const slow = await heldBack(page);
  await page.getByLabel('Access token').fill(typed());
  const { x, y } = await button(page, 'Connect').boundingBox();
  // A mouse, because a locator would wait for the next page.
  await page.mouse.click(x + 9, y + 9);
  await slow.answered;
  await page.mouse.click(x + 9, y + 9);
  slow.release();
  await shows(page, CONNECTED);
  assert.equal(slow.sent(), 1);
}));

test('the browser offers nothing of what was typed when somebody goes back', () => inBrowser(async (context) => {
  const page = await open(context, await link({ type: 'basic' }));
  await submit(page, { 'User name': 'ann', Password: typed() });
  await shows(page, CONNECTED);
  await page.goBack();
  await shows(page, 'Connected already');
}, { errors: [/status of 410/] }));

test('all of it works without JavaScript', () => inBrowser(async (context) => {
  const to = await link({ type: 'basic' });
  const page = await open(context, to);
  await submit(page, { 'User name': 'ann:lee', Password: typed() });
  await page.getByRole('alert').waitFor();
  await submit(page, { 'User name': 'ann', Password: typed() });
  await shows(page, CONNECTED);
  await page.getByText('You can close this page.').waitFor();
  assert.equal(await verified(to), 'authenticated');
  await STATES.declined(context);
}, { ...REFUSED, javaScriptEnabled: false }));
