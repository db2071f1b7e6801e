// Pictures of the hosted connect page in the directory of the first argument: those that the documentation shows, or, with `all` as the second argument,
// every state on a phone and a desktop, in light and dark. Run it with tests/browser/run.sh (see tests/README.md).

import { join } from 'node:path';
import { HOSTS, OAUTH_STATES, stop } from './oauth-states.mjs';
import { APP, STATES } from './states.mjs';
import { close, inBrowser } from './support.mjs';

const [directory, all] = process.argv.slice(2);
const ALL = { ...STATES, ...OAUTH_STATES };
const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };

/** State, size and colours. */
const DOCUMENTED = {
  'connect-form-phone': ['form for a token', 'phone', 'light'],
  'connect-form-phone-dark': ['form for a token', 'phone', 'dark'],
  'connect-form-desktop': ['form for a user name and a password', 'desktop', 'light'],
  'connect-refused-phone': ['refused', 'phone', 'light'],
  'connect-done-phone': ['connected, and on the way', 'phone', 'light'],
  'connect-expired-phone': ['expired', 'phone', 'light'],
  'connect-oauth-phone': ['oauth form', 'phone', 'light'],
  'connect-oauth-onward-phone': ['oauth onward', 'phone', 'light'],
  'connect-oauth-failed-phone': ['oauth provider does not answer', 'phone', 'light'],
};

function everything() {
  const views = Object.keys(ALL).flatMap((state) => Object.keys(SIZES).flatMap((size) => [[state, size, 'light'], [state, size, 'dark']]));
  return Object.fromEntries(views.map((view) => [view.join(' ').replaceAll(/\W+/g, '-'), view]));
}

for (const [name, [state, size, colorScheme]] of Object.entries(all ? everything() : DOCUMENTED)) {
  await inBrowser(async (context) => {
    const page = await ALL[state](context);
    await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
  }, { viewport: SIZES[size], colorScheme, hosts: [APP, ...HOSTS], errors: [/./] });
}
stop();
await close();
