// Every state of the connect page: how a person gets there.

import { account, button, expire, inBrowser, link, open, shows, submit, typed } from './support.mjs';

/** Where a person comes from, and is led back to: nothing is sent there. */
export const APP = 'https://app.example.com';

const KEY = '-----BEGIN PRIVATE KEY-----';

/** A name, and a function that leads a browser there and answers the page. */
export const STATES = {
  async 'form for a token'(context) {
    return open(context, await link(), { heading: 'Connect GitHub' });
  },
  async 'form for a user name and a password'(context) {
    return open(context, await link({ type: 'basic' }), { heading: 'Connect GitHub' });
  },
  async 'form for a private key'(context) {
    const page = await open(context, await link({ type: 'jwt', credential: { config: { algorithm: 'EdDSA' } } }));
    await page.getByLabel('Private key').fill(`${KEY}\n`);
    return page;
  },
  async 'form for a signing key'(context) {
    return open(context, await link({ type: 'jwt', credential: { config: { algorithm: 'HS256', claims: { aud: 'https://api.example.com', ['n'.repeat(100)]: 'x'.repeat(300) } } } }));
  },
  async 'form with little said'(context) {
    const owner = await account({ name: '' });
    const credential = { name: '', description: '', config: {} };
    return open(context, await link({ owner, type: 'plain', contact: '', credential }), { heading: 'Connect a credential' });
  },
  async 'form when connected already'(context) {
    const to = await link();
    await to.post('connect', { value: typed() });
    return open(context, to);
  },
  async 'form with long words'(context) {
    const long = 'x'.repeat(200);
    const owner = await account({ name: long });
    const config = { hosts: [`${'h'.repeat(60)}.${'o'.repeat(60)}.example.com`] };
    return open(context, await link({ owner, contact: long, credential: { name: long, description: long, config } }));
  },
  async 'refused'(context) {
    const page = await open(context, await link({ type: 'basic' }));
    await submit(page, { 'User name': 'ann:lee', Password: typed() });
    await page.getByRole('alert').waitFor();
    return page;
  },
  async 'connected'(context) {
    const page = await open(context, await link());
    await submit(page, { 'Access token': typed() });
    await shows(page, 'GitHub is connected');
    return page;
  },
  async 'connected, and on the way'(context) {
    const owner = await account({ allowedOrigins: [APP] });
    const page = await open(context, await link({ owner, returnUrl: `${APP}/back` }));
    // To a 204 browsers stay where they are.
    const asked = new Promise((resolve) => {
      void context.route(`${APP}/**`, (route) => { resolve(); return route.fulfill({ status: 204 }); });
    });
    await submit(page, { 'Access token': typed() });
    await asked;
    await page.getByRole('link', { name: 'Continue' }).waitFor();
    return page;
  },
  async 'declined'(context) {
    const page = await open(context, await link());
    await button(page, 'Decline').click();
    await shows(page, 'You declined');
    return page;
  },
  async 'used'(context) {
    const to = await link();
    await submit(await open(context, to), { 'Access token': typed() });
    return open(context, to, { status: 410, heading: 'Connected already' });
  },
  async 'declined before'(context) {
    const to = await link();
    await button(await open(context, to), 'Decline').click();
    return open(context, to, { status: 410, heading: 'You declined' });
  },
  async 'expired'(context) {
    const to = await link();
    await expire(to);
    return open(context, to, { status: 410, heading: 'This link has expired' });
  },
  async 'withdrawn'(context) {
    const to = await link();
    await to.post('connect', { value: typed() });
    await to.post('revoke');
    return open(context, to, { status: 410, heading: 'This link was withdrawn' });
  },
  async 'another browser'(context) {
    const to = await link();
    await inBrowser(async (other) => {
      await submit(await open(other, to), { 'Access token': 'with a blank' });
    }, { errors: [/400/] });
    return open(context, to, { status: 403, heading: 'Open in another browser' });
  },
  async 'without the cookie'(context) {
    const page = await open(context, await link());
    await context.clearCookies();
    await submit(page, { 'Access token': typed() });
    await shows(page, 'Nothing was stored');
    return page;
  },
  async 'unknown'(context) {
    const { url } = await link();
    return open(context, { url: url.replace(/.$/, '') }, { status: 404, heading: 'This link does not work' });
  },
};
