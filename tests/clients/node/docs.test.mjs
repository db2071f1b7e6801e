// What docs/contacts.md shows, as it stands there but for the URL of the server.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { env, url } from './support.mjs';

const page = readFileSync(new URL('../../../docs/contacts.md', import.meta.url), 'utf8');
const blocks = (language) => [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))]
  .map(([, code]) => code.replaceAll('http://127.0.0.1:7117', url));
const PATH = [dirname(env('KEYFOB_BIN')), process.env.PATH].join(delimiter);

function run(command, args, input, cwd) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    input, cwd, encoding: 'utf8', env: { ...process.env, PATH, KEYFOB_TOKEN: env('KEYFOB_OWNER_TOKEN') },
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /con_\w+.*Ann/);
}

test('the TypeScript works', () => {
  const [code, ...more] = blocks('ts');
  assert.equal(more.length, 0);
  run(process.execPath, ['--input-type=module', '-'], code);
});

test('the Python works', () => {
  const [code, ...more] = blocks('python');
  assert.equal(more.length, 0);
  run('.venv/bin/python', ['-'], code);
});

test('the commands work', (t) => {
  const cwd = mkdtempSync(join(tmpdir(), 'keyfob-docs-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  const found = blocks('sh');
  assert.equal(found.length, 2);
  for (const code of found) run('bash', ['-eu'], code, cwd);
  assert.match(readFileSync(join(cwd, 'contacts.jsonl'), 'utf8'), /"fingerprint":"customer:00000042"/);
});
