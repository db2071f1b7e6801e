// Every state of the pages at which people connect at a provider: how a person gets there.

import { agree, caughtAnswer, connect, goOn, mailLink, NAME, toProvider } from './oauth-support.mjs';
import { abort, cancel, fontless, FONTS, provider } from './provider.mjs';
import { deviceLink, openProvider, toCode } from './device-support.mjs';
import { account, button, expire, inBrowser, link, noted, open, shows, url } from './support.mjs';

const at = await provider();
/** Ends the provider. */
export const stop = () => at.stop();
/** Where people are sent. */
export const HOSTS = [at.origin, FONTS];

/** A request that the provider has to refuse: not to show a page to somebody whom it does not know. */
const SILENT = { authorizationUrl: `${at.origin}/auth?prompt=none`, scope: 'openid' };

/** Keeps the browser at the page that leads to the provider. */
const stay = (context) => context.route(`${at.origin}/auth?**`, (route) => route.fulfill({ status: 204 }));

async function onward(context) {
  await stay(context);
  const page = await open(context, await mailLink(at));
  await goOn(page);
  await shows(page, 'On to 127.0.0.1');
  return page;
}

/** A name, and a function that leads a browser there and answers the page. */
const states = {
  async 'oauth form'(context) {
    const more = { scope: 'openid offline_access email', hosts: ['gmail.googleapis.com'] };
    return open(context, await mailLink(at, { more }), { heading: `Connect ${NAME}` });
  },
  async 'oauth form with little said'(context) {
    const owner = await account({ name: '' });
    const credential = { name: '', description: '', config: at.config('post', { scope: null, hosts: null }) };
    return open(context, await link({ owner, type: 'oauth', contact: '', credential }), { heading: 'Connect a credential' });
  },
  async 'oauth form with long words'(context) {
    const scope = Array.from({ length: 12 }, (_, index) => `https://www.googleapis.com/auth/${'scope'.repeat(12)}.${index}`).join(' ');
    return open(context, await mailLink(at, { more: { scope, authorizationUrl: `https://${'h'.repeat(60)}.${'o'.repeat(60)}.example.com/` } }));
  },
  async 'oauth form when connected already'(context) {
    const to = await mailLink(at);
    await connect(context, at, to, 'ann');
    return open(context, { url: noted((await to.post('authenticate')).url) });
  },
  'oauth onward': onward,
  async 'oauth connected'(context) {
    return connect(context, at, await mailLink(at), 'ann');
  },
  async 'oauth declined at the provider'(context) {
    const page = await toProvider(context, at, await mailLink(at));
    await cancel(page);
    await shows(page, 'You declined');
    return page;
  },
  async 'oauth refused by the provider'(context) {
    const page = await open(context, await mailLink(at, { more: SILENT }));
    await goOn(page);
    await shows(page, `${NAME} is not connected`);
    return page;
  },
  async 'oauth provider does not answer'(context) {
    const page = await toProvider(context, at, await mailLink(at, { more: { tokenUrl: `${at.origin}/nowhere` } }));
    await agree(page, 'ann');
    await shows(page, `${NAME} is not connected`);
    return page;
  },
  async 'oauth came back too late'(context) {
    const to = await mailLink(at);
    const page = await toProvider(context, at, to);
    await expire(to);
    await agree(page, 'ann');
    await shows(page, 'This link has expired');
    return page;
  },
  async 'oauth answered already'(context) {
    const page = await open(context, await mailLink(at, { more: SILENT }));
    await goOn(page);
    await shows(page, `${NAME} is not connected`);
    await page.reload();
    await shows(page, 'This was done already');
    return page;
  },
  async 'oauth came back in another browser'(context) {
    const back = await inBrowser(async (other) => {
      await fontless(other);
      return caughtAnswer(await toProvider(other, at, await mailLink(at)), at, 'ann');
    }, { hosts: HOSTS });
    return open(context, { url: back }, { status: 403, heading: 'Open in another browser' });
  },
  async 'oauth provider says nothing of itself'(context) {
    const page = await open(context, await mailLink(at, { credential: { config: { issuer: `${at.origin}/nowhere` } } }));
    await goOn(page);
    await shows(page, `${NAME} is not connected`);
    return page;
  },
  async 'device code'(context) {
    return toCode(context, await deviceLink(at));
  },
  async 'device code with long words'(context) {
    const owner = await account({ name: 'x'.repeat(200) });
    return toCode(context, await deviceLink(at, { owner, credential: { name: 'y'.repeat(200) } }));
  },
  async 'device code that was copied'(context) {
    await context.grantPermissions(['clipboard-write']);
    const page = await toCode(context, await deviceLink(at));
    await button(page, 'Copy the code').click();
    await page.getByText('Copied.').waitFor();
    return page;
  },
  async 'device code that nobody entered'(context) {
    at.codeLives.basic = 6;
    const page = await toCode(context, await deviceLink(at, { client: 'basic' }));
    await page.getByRole('alert').waitFor();
    return page;
  },
  async 'device code declined at the provider'(context) {
    const page = await toCode(context, await deviceLink(at));
    const tab = await openProvider(page);
    await abort(tab);
    await tab.close();
    await shows(page, 'You declined');
    return page;
  },
  async 'oauth came back with nothing'(context) {
    return open(context, { url: `${url}/secrets/oauth/callback` }, { status: 404, heading: 'This link does not work' });
  },
};

/** The same, with the provider's pages kept from asking elsewhere. */
export const OAUTH_STATES = Object.fromEntries(Object.entries(states).map(([name, lead]) => [name, async (context) => {
  await fontless(context);
  return lead(context);
}]));
