// How every state of the hosted connect page looks: in light and dark, on phones and desktops, and to a screen reader.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { HOSTS, OAUTH_STATES, stop } from './oauth-states.mjs';
import { APP, STATES } from './states.mjs';
import { barriers, close, inBrowser } from './support.mjs';

after(async () => {
  stop();
  await close();
});

/** A state may be one that is answered with a status of 4xx, or of 502, which Chromium reports. */
const ANSWERED = [/^Failed to load resource: the server responded with a status of (4\d\d|502)/];

for (const [state, lead] of Object.entries({ ...STATES, ...OAUTH_STATES })) {
  test(`${state}: no barriers, nothing to scroll sideways, and large enough to touch`, () => inBrowser(async (context) => {
    const page = await lead(context);
    for (const width of [320, 360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        if (width > 320) assert.deepEqual(await barriers(page), [], `${width} pixels, ${colorScheme}`);
      }
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `wider than ${width} pixels`);
      for (const target of await page.locator('button, a, input:not([type=hidden]), textarea').all()) {
        const { height } = await target.boundingBox();
        assert.ok(height >= 44, `${height} pixels high: ${await target.evaluate((it) => it.outerHTML)}`);
      }
    }
  }, { hosts: [APP, ...HOSTS], errors: ANSWERED }));
}
