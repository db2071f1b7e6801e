// The official conformance suite, the scenarios that apply to a server of tools; ../README.md says why not the others.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { url } from './support.mjs';

const run = promisify(execFile);

/** With how many checks each has: one that checks nothing has passed nothing. */
const SCENARIOS = { 'server-initialize': 1, ping: 1, 'tools-list': 1, 'dns-rebinding-protection': 2 };

async function conform(scenario, at = url) {
  const args = ['node_modules/.bin/conformance', 'server', '--url', at, '--scenario', scenario];
  const { stdout } = await run(process.execPath, args).catch((failed) => failed);
  return stdout;
}

for (const [scenario, checks] of Object.entries(SCENARIOS)) {
  test(`the suite finds that ${scenario} is as it should be`, async () => {
    const said = await conform(scenario);
    assert.ok(said.includes(`Passed: ${checks}/${checks}, 0 failed, 0 warnings`), said);
  });
}

test('the suite does find what is not there', async () => {
  assert.match(await conform('tools-call-simple-text'), /1 failed/);
});
