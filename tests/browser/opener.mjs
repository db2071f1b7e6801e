// A page that opens a link in a window of its own, and waits to be told how it went.

import { url } from './support.mjs';

/** Opens a link from a page at `origin`, as a program does that wants to know how it went. */
export async function popup(context, origin, { url: address }) {
  const opener = await context.newPage();
  await opener.goto(origin);
  const [page] = await Promise.all([context.waitForEvent('page'), opener.evaluate((to) => void open(to, 'connect', 'popup,width=480,height=720'), address)]);
  const told = async () => {
    await opener.waitForFunction(() => told.length > 0);
    return opener.evaluate(() => told);
  };
  return { page, told, opener };
}

/** What such a page is told. */
export const message = (secretId, error, error_description) => [{ origin: url, data: { type: 'oauth', params: { error, error_description, secretId } } }];
