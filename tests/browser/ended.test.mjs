// A link that has ended, or belongs to another browser, at the hosted connect page: nothing is stored, and the page says why.
// states.mjs has the pages themselves, with their statuses and headings; all of them are looked at in look.test.mjs.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { close, expire, inBrowser, link, open, shows, submit, typed, verified } from './support.mjs';

after(close);

const ENDED = { errors: [/status of 4(00|03|10)/] };
const TOKEN = 'Access token';

test('a form that is sent after its time stores nothing', () => inBrowser(async (context) => {
  const to = await link();
  const page = await open(context, to);
  await expire(to);
  await submit(page, { [TOKEN]: typed() });
  await shows(page, 'This link has expired');
  assert.equal(await verified(to), 'unauthenticated');
}, ENDED));

test('a form that is sent after a link was withdrawn stores nothing', () => inBrowser(async (context) => {
  const to = await link();
  const page = await open(context, to);
  await to.post('connect', { value: typed() });
  await to.post('revoke');
  await submit(page, { [TOKEN]: typed() });
  await shows(page, 'This link was withdrawn');
  assert.equal(await verified(to), 'unauthenticated');
}, ENDED));

test('a link that one browser began to use works in no other, and still works there', () => inBrowser(async (mine) => {
  const to = await link();
  const page = await open(mine, to);
  await inBrowser(async (theirs) => {
    // Looking at it is no use: whoever sends the form first has it.
    const before = await open(theirs, to);
    await submit(page, { [TOKEN]: 'with a blank' });
    await page.getByRole('alert').waitFor();
    await submit(before, { [TOKEN]: typed() });
    await shows(before, 'Open in another browser');
    await open(theirs, to, { status: 403, heading: 'Open in another browser' });
  }, ENDED);
  assert.equal(await verified(to), 'unauthenticated');
  await submit(page, { [TOKEN]: typed() });
  await shows(page, 'GitHub is connected');
  assert.equal(await verified(to), 'authenticated');
}, ENDED));

test('two links are used side by side in one browser', () => inBrowser(async (context) => {
  const links = [await link(), await link({ type: 'plain' })];
  const pages = [await open(context, links[0]), await open(context, links[1])];
  await submit(pages[0], { [TOKEN]: typed() });
  await submit(pages[1], { 'Secret key': typed() });
  for (const page of pages) await shows(page, 'GitHub is connected');
}));
