// A person connecting at a provider, in the tests of OAuth.

import assert from 'node:assert/strict';
import { button, inBrowser, link, noted, open, shows } from './support.mjs';
import { consent, fontless, FONTS, login } from './provider.mjs';

/** What a secret of the tests is called. */
export const NAME = 'Mail';
export const CONNECTED = `${NAME} is connected`;

/** A contact, a personal secret at the provider, and a link for both. `more` is what else its config says. */
export const mailLink = (at, { client = 'post', more, ...options } = {}) => link({
  type: 'oauth', ...options,
  credential: { name: NAME, description: 'To read your mail when you ask the assistant to.', config: at.config(client, more), ...options.credential },
});

/** Somebody's browser, in which they go to the provider and back, and whose addresses are noted: codes and states must be in no log. */
export function inBrowserAt(at, body, { hosts = [], ...options } = {}) {
  const watched = async (context) => {
    await fontless(context);
    context.on('request', (request) => {
      const { pathname, searchParams } = new URL(request.url());
      if (pathname === '/secrets/oauth/callback') for (const name of ['code', 'state']) if (searchParams.get(name)?.length > 20) noted(searchParams.get(name));
    });
    return body(context);
  };
  return inBrowser(watched, { hosts: [at.origin, FONTS, ...hosts], ...options });
}

/** Opens a link and goes on to the provider. */
export async function toProvider(context, at, to) {
  const page = await open(context, to, { heading: `Connect ${NAME}` });
  await goOn(page);
  await page.waitForURL(`${at.origin}/interaction/**`);
  return page;
}

/** Presses the button that leads to the provider. */
export const goOn = (page) => button(page, 'Continue to 127.0.0.1').click();

/** Logs in and agrees, at the provider. */
export async function agree(page, name) {
  await login(page, name);
  await consent(page);
}

/** All of it: from the link to the page that says that it is connected. */
export async function connect(context, at, to, name) {
  const page = await toProvider(context, at, to);
  await agree(page, name);
  await shows(page, CONNECTED);
  return page;
}

/** A token of what is connected, which the provider accepts. */
export async function works(at, to) {
  const { token, expiresAt } = await to.post('mint');
  assert.ok(await at.accepts(noted(token)), `a token was handed out that the provider refuses (its end: ${expiresAt - Date.now()} ms from now)`);
  return token;
}

/** Agrees, and catches what the provider sends back on its way. The browser stays at the provider. */
export async function caughtAnswer(page, at, name) {
  await login(page, name);
  const context = page.context();
  const answer = new Promise((resolve, reject) => {
    const caught = async (route) => {
      // Two redirects: to where the provider goes on, and from there back to Keyfob.
      const agreed = await route.fetch({ maxRedirects: 0 });
      const back = await context.request.get(agreed.headers().location, { maxRedirects: 0 });
      await route.fulfill({ status: 204 });
      return back.headers().location;
    };
    context.route(`${at.origin}/interaction/**`, (route) => (route.request().method() === 'POST' ? caught(route).then(resolve, reject) : route.continue()));
  });
  await consent(page);
  const address = await answer;
  noted(new URL(address).searchParams.get('code'));
  return address;
}
