// What the tests of the npm packages need. tests/mcp/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';

export function env(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run the tests with tests/mcp/run.sh`);
  return value;
}

export const url = `${env('KEYFOB_PUBLIC_URL')}/mcp`;
export const token = env('KEYFOB_TOKEN');
export const credential = env('KEYFOB_CREDENTIAL');
/** What stands in the place of a credential. */
export const REDACTED = '[redacted by keyfob]';
export const TOOLS = [
  'authenticate_secret', 'get_totp_code', 'list_contacts', 'list_secrets', 'list_totp', 'send_request', 'verify_secret',
];

/** How `keyfob mcp` is started. */
export const command = {
  command: env('KEYFOB_BIN'),
  args: ['mcp'],
  env: { KEYFOB_URL: env('KEYFOB_URL'), KEYFOB_TOKEN: token },
};

/** A call of the API by the backend, which sets things up. */
export async function api(path, body = {}) {
  const answer = await fetch(`${env('KEYFOB_URL')}/api/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${env('KEYFOB_BACKEND_TOKEN')}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

/** A secret that the contact has not connected. */
export async function unconnected() {
  const config = { hosts: [env('KEYFOB_UPSTREAM')] };
  const { id } = await api('secret/create', { kind: 'personal', type: 'bearer', name: 'New', config });
  return { contact: env('KEYFOB_CONTACT'), secret: id };
}

/** The person goes to a link and hands over the credential. */
export async function connect(link) {
  assert.ok(link.startsWith(`${env('KEYFOB_PUBLIC_URL')}/connect/`), link);
  appendFileSync(env('KEYFOB_LINKS_SEEN'), `${link.split('/').pop()}\n`);
  const page = await fetch(link);
  const cookie = page.headers.get('set-cookie').split(';')[0];
  const [, proof] = /name="proof" value="([^"]+)"/.exec(await page.text());
  const body = new URLSearchParams({ proof, value: credential });
  const done = await fetch(link, { method: 'POST', headers: { cookie }, body });
  assert.equal(done.status, 200, await done.text());
}
