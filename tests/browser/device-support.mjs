// A person who enters a code at the provider, in the tests of the device flow.

import { goOn, mailLink } from './oauth-support.mjs';
import { confirmCode, consent, login } from './provider.mjs';
import { open, shows } from './support.mjs';

/** What the page with the code is headed. */
export const ENTER = 'Enter this code at 127.0.0.1';

/** A contact, a personal secret at the provider, which people connect by a code, and a link for both. */
export const deviceLink = (at, { client = 'none', ...options } = {}) => mailLink(at, { ...options, credential: { config: at.deviceConfig(client), ...options.credential } });

/** Opens a link and goes on to the page with the code. */
export async function toCode(context, to) {
  const page = await open(context, to);
  await goOn(page);
  await shows(page, ENTER);
  return page;
}

/** Waits until the page says so by itself: the provider is asked every five seconds, and so is Keyfob. */
export const tells = (page, heading) => shows(page, heading, 20_000);

/** The code that the page shows. */
export const codeOn = (page) => page.locator('#waiting code').innerText();

/** Opens the provider's page, in a tab of its own. */
export async function openProvider(page) {
  const opened = page.context().waitForEvent('page');
  await providerButton(page).click();
  return opened;
}

/** The same where JavaScript is off: playwright switches it off in a tab that a page opens only after that has begun to load. */
export async function openProviderApart(page) {
  const tab = await page.context().newPage();
  await tab.goto(await providerButton(page).getAttribute('href'));
  return tab;
}

const providerButton = (page) => page.getByRole('link', { name: 'Open 127.0.0.1', exact: true });

/** Lets Keyfob in, at the provider's page: the code is there already. */
export async function letIn(tab, name) {
  await confirmCode(tab);
  await login(tab, name);
  await consent(tab);
  await shows(tab, 'Sign-in Success');
}
