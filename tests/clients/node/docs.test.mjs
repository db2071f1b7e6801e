// What the pages of docs show, as it stands there but for the URL of the server.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { Browser } from './connection-support.mjs';
import { value } from './secret-support.mjs';
import { env, url } from './support.mjs';

const page = (name) => readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), 'utf8');
const blocks = (name, language) => [...page(name).matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))]
  .map(([, code]) => code.replaceAll('http://127.0.0.1:7117', url));
const PATH = [dirname(env('KEYFOB_BIN')), process.env.PATH].join(delimiter);

function run(command, args, input, { cwd, variables, shows = /con_\w+.*Ann/ } = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    input, cwd, encoding: 'utf8', env: { ...process.env, PATH, KEYFOB_TOKEN: env('KEYFOB_OWNER_TOKEN'), ...variables },
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, shows);
  return stdout + stderr;
}

function directory(t) {
  const cwd = mkdtempSync(join(tmpdir(), 'keyfob-docs-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  return cwd;
}

/** Ann does what she is asked to do, with the token that the page is about. */
async function annOpens(said) {
  const [, link] = said.match(/^Ann, please open (https?:\S+)$/m);
  const page = await new Browser().submit(link, { value: value() });
  assert.match(page.text, /Weather API is connected/);
}

const PLEASE = { shows: /^Ann, please open http/m };

test('the TypeScript of contacts works', () => {
  const [code, ...more] = blocks('contacts', 'ts');
  assert.equal(more.length, 0);
  run(process.execPath, ['--input-type=module', '-'], code);
});

test('the Python of contacts works', () => {
  const [code, ...more] = blocks('contacts', 'python');
  assert.equal(more.length, 0);
  run('.venv/bin/python', ['-'], code);
});

test('the commands of contacts work', (t) => {
  const cwd = directory(t);
  const found = blocks('contacts', 'sh');
  assert.equal(found.length, 2);
  for (const code of found) run('bash', ['-eu'], code, { cwd });
  assert.match(readFileSync(join(cwd, 'contacts.jsonl'), 'utf8'), /"fingerprint":"customer:00000042"/);
});

test('the commands of secrets work, and show no value', (t) => {
  const [code, ...more] = blocks('contacts-and-secrets', 'sh');
  assert.equal(more.length, 0);
  const cwd = directory(t);
  const config = { clientId: 'me', clientSecret: 'CANARY234567CANA3', tokenUrl: 'https://auth.example.com/token' };
  writeFileSync(join(cwd, 'mail.json'), JSON.stringify(config));
  const variables = { API_TOKEN: 'CANARY234567CANA1', NEW_TOKEN: 'CANARY234567CANA2' };
  const said = run('bash', ['-eu'], code, { cwd, variables, shows: /sec_\w+.*bearer.*CI token/ });
  assert.match(said, /config +\{"schema":"Token"\}/);
  assert.ok(!said.includes('CANARY'), said);
});

test('the TypeScript of connect works, and Ann can do as she is asked', async () => {
  const [code, ...more] = blocks('connect', 'ts');
  assert.equal(more.length, 0);
  await annOpens(run(process.execPath, ['--input-type=module', '-'], code, PLEASE));
});

test('the Python of connect works, and Ann can do as she is asked', async () => {
  const [code, ...more] = blocks('connect', 'python');
  assert.equal(more.length, 0);
  await annOpens(run('.venv/bin/python', ['-'], code, PLEASE));
});

test('the commands of connect work, and Ann can do as she is asked', async () => {
  const [account, code, oauth, ...more] = blocks('connect', 'sh');
  assert.equal(more.length, 0);
  run('bash', ['-eu'], account, { shows: /https:\/\/app\.acme\.example/ });
  const said = run('bash', ['-eu'], code, PLEASE);
  assert.match(said, /unauthenticated.*Weather API/);
  await annOpens(said);
  run('bash', ['-eu'], oauth, { shows: /^sec_\w+\nsec_\w+$/m });
});
