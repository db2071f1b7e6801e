// The published Sendblue package for Node, unmodified, against a running Keyfob: only its base URL is set.
// tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import SendblueAPI from 'sendblue';
import { cuttingProxy, env, unique, url } from './support.mjs';

const {
  BadRequestError, AuthenticationError, PermissionDeniedError, NotFoundError, RateLimitError,
} = SendblueAPI;

const SECRET = 'CANARY234567CANARY234567CANARY23'; // 160 bits
const SHORT_SECRET = 'CANARY234567CANA'; // 80 bits, as real services still issue them
const CODE_PATH = '/api/v2/totp/code/';

const keys = { apiKey: env('KEYFOB_KEY_ID'), apiSecret: env('KEYFOB_KEY_SECRET') };
const agentKeys = { apiKey: env('KEYFOB_AGENT_KEY_ID'), apiSecret: env('KEYFOB_AGENT_KEY_SECRET') };
const client = new SendblueAPI({ ...keys, baseURL: url });
const { totp } = client.v2;

// --- what a code must be, computed apart from Keyfob ---

function base32(text) {
  let bits = '';
  for (const char of text) bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(char).toString(2).padStart(5, '0');
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
}

function codeAt(time, { secret, algorithm = 'SHA1', digits = 6, period = 30 }) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(time / period)));
  const mac = createHmac(algorithm, base32(secret)).update(counter).digest();
  const number = mac.readUInt32BE(mac[mac.length - 1] & 15) & 0x7fffffff;
  return String(number % 10 ** digits).padStart(digits, '0');
}

const now = () => Math.floor(Date.now() / 1000);

/** Gets a code and checks the whole answer against every second in which it can have been made. */
async function checkCode(api, id, entry, options) {
  const before = now();
  const answer = await api.getCode(id, options);
  const after = now();
  const period = entry.period ?? 30;
  assert.equal(answer.status, 'OK');
  assert.equal(typeof answer.code, 'string');
  assert.ok(answer.expires_in >= 1 && answer.expires_in <= period, `expires_in ${answer.expires_in}`);
  const seconds = Array.from({ length: after - before + 1 }, (_, i) => before + i);
  assert.ok(
    seconds.some((t) => answer.code === codeAt(t, entry) && answer.expires_in === period - (t % period)),
    `the code or its expires_in ${answer.expires_in} fits no second from ${before} to ${after}`,
  );
  assert.ok(answer.server_time >= before && answer.server_time <= after, `server_time ${answer.server_time}`);
  assert.equal(answer.valid_from, Math.floor(answer.server_time / period) * period);
  assert.equal(answer.valid_until, answer.valid_from + period);
  assert.equal(answer.period, period);
  assert.equal(answer.digits, entry.digits ?? 6);
  return answer;
}

// --- helpers ---

/** Tells run.sh about a secret that Keyfob made, so that it is searched for in the log as well. */
const noteSecret = (secret) => appendFileSync(env('KEYFOB_SECRETS_SEEN'), `${secret}\n`);

async function create(body, api = totp) {
  const answer = await api.secrets.create(body);
  assert.equal(answer.status, 'OK');
  const entry = answer.totp_secret;
  assert.match(entry.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.match(entry.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  assert.ok(Math.abs(Date.parse(entry.created_at) - Date.now()) < 120_000, entry.created_at);
  if (!body.secret && !body.uri) noteSecret(entry.secret);
  return entry;
}

async function listed(id, api = totp) {
  const answer = await api.secrets.list();
  assert.equal(answer.status, 'OK');
  return answer.totp_secrets.find((entry) => entry.id === id);
}

async function withLabel(label) {
  return (await totp.secrets.list()).totp_secrets.filter((entry) => entry.label === label);
}

/** Waits for the call to fail with this class and checks what every error answer carries. */
async function refused(promise, errorClass, status) {
  const error = await promise.then(() => assert.fail(`expected ${errorClass.name}`), (thrown) => thrown);
  assert.ok(error instanceof errorClass, `expected ${errorClass.name}, got ${error}`);
  assert.equal(error.status, status);
  assert.equal(error.headers.get('content-type'), 'application/json');
  const body = error.error;
  assert.equal(typeof body.message, 'string');
  assert.notEqual(body.message, '');
  assert.equal(error.message, `${status} ${body.message}`);
  assert.match(body.code, /^[A-Z][A-Z0-9_]*$/);
  assert.equal(body.error, body.code.toLowerCase());
  assert.equal(typeof body.request_id, 'string');
  assert.equal(error.headers.get('x-request-id'), body.request_id);
  if (status !== 403) assert.equal(body.status, 'ERROR');
  assert.match(body.error_code, /^[a-z][a-z0-9_]*$/);
  assert.doesNotMatch(JSON.stringify(body), /canary/i, 'an error answer repeats a secret');
  return error;
}

const withoutRequestId = ({ request_id: _, ...rest }) => rest;

// --- the four calls ---

test('an entry made from a label and a secret gives the right codes', async () => {
  const label = unique('GitHub - agent@example.com');
  const entry = await create({ label, secret: SECRET, issuer: 'GitHub' });
  const { id, created_at, secret, ...rest } = entry;
  assert.deepEqual(
    { label: rest.label, issuer: rest.issuer, algorithm: rest.algorithm, digits: rest.digits, period: rest.period },
    { label, issuer: 'GitHub', algorithm: 'SHA1', digits: 6, period: 30 },
  );
  assert.equal(secret, SECRET);
  await checkCode(totp, id, { secret: SECRET });
});

test('every algorithm, number of digits and period gives the right codes', async () => {
  for (const algorithm of ['SHA1', 'SHA256', 'SHA512']) {
    for (const [digits, period] of [[6, 30], [8, 60]]) {
      const body = { label: unique(`${algorithm} ${digits}`), secret: SECRET + SECRET, algorithm, digits, period };
      const entry = await create(body);
      assert.deepEqual([entry.algorithm, entry.digits, entry.period], [algorithm, digits, period]);
      await checkCode(totp, entry.id, body);
    }
  }
});

test('an otpauth URI overrides all other fields', async () => {
  const account = `agent-${randomUUID().slice(0, 8)}@example.com`;
  const entry = await create({
    uri: `otpauth://totp/GitHub:${account}?secret=${SECRET}&issuer=GitHub&algorithm=SHA256&digits=8&period=60`,
    label: 'not this one', secret: SHORT_SECRET, digits: 6, period: 30,
  });
  assert.equal(entry.label, `GitHub - ${account}`);
  assert.equal(entry.issuer, 'GitHub');
  assert.equal(entry.secret, SECRET);
  await checkCode(totp, entry.id, { secret: SECRET, algorithm: 'SHA256', digits: 8, period: 60 });
});

test('a label alone makes Keyfob generate 160 bits', async () => {
  const entry = await create({ label: unique('generated') });
  assert.match(entry.secret, /^[A-Z2-7]{32}$/);
  await checkCode(totp, entry.id, entry);
});

test('two creates of the same label on purpose are two entries', async () => {
  const label = unique('on purpose');
  const [first, second] = [await create({ label }), await create({ label })];
  assert.notEqual(first.id, second.id);
  assert.notEqual(first.secret, second.secret);
  assert.equal((await withLabel(label)).length, 2);
});

test('a short secret with blanks and small letters comes back normalised', async () => {
  const entry = await create({ label: unique('short'), secret: 'canary23 4567 cana' });
  assert.equal(entry.secret, SHORT_SECRET);
  await checkCode(totp, entry.id, { secret: SHORT_SECRET });
});

test('the list has every entry and never a secret', async () => {
  const entry = await create({ label: unique('listed'), secret: SECRET, digits: 8 });
  const { secret: _, ...expected } = entry;
  const found = await listed(entry.id);
  for (const field of ['id', 'label', 'algorithm', 'digits', 'period', 'created_at']) {
    assert.equal(found[field], expected[field], field);
  }
  assert.equal(found.issuer ?? null, expected.issuer ?? null);
  const answer = await totp.secrets.list();
  assert.ok(answer.totp_secrets.every((item) => !('secret' in item)));
  assert.doesNotMatch(JSON.stringify(answer), /canary/i);
});

test('a deleted entry is gone for every call', async () => {
  const entry = await create({ label: unique('deleted'), secret: SECRET });
  assert.deepEqual(await totp.secrets.delete(entry.id), { status: 'OK' });
  assert.equal(await listed(entry.id), undefined);
  await refused(totp.getCode(entry.id), NotFoundError, 404);
  await refused(totp.secrets.delete(entry.id), NotFoundError, 404);
});

test('an access token works for the four calls', async () => {
  const { totp: api } = new SendblueAPI({ accessToken: env('KEYFOB_TOKEN'), baseURL: url }).v2;
  const entry = await create({ label: unique('by token'), secret: SECRET }, api);
  assert.equal((await listed(entry.id, api)).label, entry.label);
  await checkCode(api, entry.id, { secret: SECRET });
  assert.deepEqual(await api.secrets.delete(entry.id), { status: 'OK' });
  assert.equal(await listed(entry.id), undefined);
});

test('answers are JSON that nobody may store', async () => {
  const entry = await create({ label: unique('headers'), secret: SECRET });
  const { response } = await totp.getCode(entry.id).withResponse();
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'application/json');
  assert.equal(response.headers.get('cache-control'), 'no-store');
  assert.ok(response.headers.get('x-request-id'));
});

// --- refusals ---

test('a bad request is a BadRequestError that does not repeat the secret', async () => {
  const label = unique('bad');
  await refused(totp.secrets.create({ label, secret: 'CANARY!! not base32 ??' }), BadRequestError, 400);
  await refused(totp.secrets.create({ secret: SECRET }), BadRequestError, 400);
  await refused(totp.secrets.create({ label, secret: SECRET, algorithm: 'MD5' }), BadRequestError, 400);
  await refused(totp.secrets.create({ label, secret: SECRET, period: 0 }), BadRequestError, 400);
  await refused(totp.secrets.create({ label, uri: `https://example.com/?secret=${SECRET}` }), BadRequestError, 400);
  assert.equal((await withLabel(label)).length, 0);
});

test('a wrong secret, key or token is an AuthenticationError', async () => {
  const wrong = [
    { apiKey: keys.apiKey, apiSecret: `${keys.apiSecret}x` },
    { apiKey: keys.apiKey, apiSecret: agentKeys.apiSecret },
    { apiKey: randomUUID(), apiSecret: keys.apiSecret },
    { accessToken: 'not-a-token' },
  ];
  for (const credentials of wrong) {
    const { totp: api } = new SendblueAPI({ ...credentials, baseURL: url }).v2;
    await refused(api.secrets.list(), AuthenticationError, 401);
    await refused(api.secrets.create({ label: unique('never'), secret: SECRET }), AuthenticationError, 401);
  }
});

test('no credentials at all is a PermissionDeniedError', async () => {
  const answer = await fetch(`${url}/api/v2/totp/secrets`);
  assert.equal(answer.status, 403);
  assert.equal((await answer.json()).message, 'Did not get inputs for authorization');
  const bare = new SendblueAPI({
    ...keys, baseURL: url, defaultHeaders: { 'sb-api-key-id': null, 'sb-api-secret-key': null },
  });
  await refused(bare.v2.totp.secrets.list(), PermissionDeniedError, 403);
});

test('an agent key reads codes and may do nothing else', async () => {
  const entry = await create({ label: unique('for the agent'), secret: SECRET });
  const { totp: api } = new SendblueAPI({ ...agentKeys, baseURL: url }).v2;
  assert.equal((await listed(entry.id, api)).label, entry.label);
  await checkCode(api, entry.id, { secret: SECRET });
  await refused(api.secrets.create({ label: unique('never'), secret: SECRET }), PermissionDeniedError, 403);
  await refused(api.secrets.delete(entry.id), PermissionDeniedError, 403);
  assert.ok(await listed(entry.id));
});

test('unknown, malformed and deleted ids are one and the same NotFoundError', async () => {
  const { id } = await create({ label: unique('gone'), secret: SECRET });
  await totp.secrets.delete(id);
  const bodies = [];
  for (const wrong of [randomUUID(), id, 'nonsense', 'a b/c?d#e']) {
    bodies.push((await refused(totp.getCode(wrong), NotFoundError, 404)).error);
    bodies.push((await refused(totp.secrets.delete(wrong), NotFoundError, 404)).error);
  }
  for (const body of bodies) assert.deepEqual(withoutRequestId(body), withoutRequestId(bodies[0]));
});

test('a code that can only be had in more than a minute is a RateLimitError', async () => {
  const entry = { secret: SECRET, period: 3600 };
  const { id } = await create({ label: unique('hourly'), ...entry });
  const call = () => client.get(`${CODE_PATH}${id}`, { query: { unique: true }, maxRetries: 0, timeout: 59_000 });
  const codes = [(await call()).code];
  // Where the hour ends between two calls, the second one still gets a code, of the new hour.
  let refusal = call();
  await refusal.then((answer) => { codes.push(answer.code); refusal = call(); }, () => {});
  const error = await refused(refusal, RateLimitError, 429);
  const wait = Number(error.headers.get('retry-after'));
  assert.ok(Number.isInteger(wait) && wait >= 1 && wait <= 60, `retry-after ${wait}`);
  assert.ok([codeAt(now(), entry), codeAt(now() - 3600, entry)].includes(codes[codes.length - 1]));
});

test('unique codes asked for at once are all different and wait their turn', async () => {
  const entry = { secret: SECRET, digits: 8, period: 1 };
  const { id } = await create({ label: unique('every second'), ...entry });
  const ask = () => totp.getCode(id, { query: { unique: true } });
  const answers = await Promise.all([ask(), ask(), ask()]);
  const steps = answers.map((answer) => answer.valid_from).sort();
  assert.equal(new Set(steps).size, 3, `steps ${steps}`);
  for (const { code, valid_from: from } of answers) assert.equal(code, codeAt(from, entry));
});

// --- the connection is cut ---

const retryCount = (attempt) => attempt.headers['x-stainless-retry-count'];

// At once, because the package waits between its attempts.
describe('a create whose connection is cut', { concurrency: true }, () => {
  for (const before of ['request', 'answer']) {
    for (const [cuts, times] of [[1, 'once'], [2, 'twice']]) {
      for (const [kind, secret] of [['given', SECRET], ['generated', undefined]]) {
        test(`${times} before the ${before} makes one entry with the ${kind} secret`, async (t) => {
          const label = unique(`cut before the ${before}`);
          const { attempts, baseURL } = await cuttingProxy(t, { before, cuts });
          const { totp: api } = new SendblueAPI({ ...keys, baseURL }).v2;
          const entry = await create(secret ? { label, secret } : { label }, api);

          const counts = attempts.map(retryCount);
          assert.deepEqual(counts, ['0', '1', '2'].slice(0, cuts + 1));
          const found = await withLabel(label);
          assert.deepEqual(found.map((item) => item.id), [entry.id]);
          const answers = attempts.flatMap(({ answer }) => (answer ? [answer.totp_secret] : []));
          assert.equal(answers.length, before === 'answer' ? cuts + 1 : 1);
          for (const answer of answers) assert.deepEqual([answer.id, answer.secret], [entry.id, entry.secret]);
          await checkCode(totp, entry.id, { secret: secret ?? entry.secret });
        });
      }
    }
  }
});

test('reading a code survives a cut connection', async (t) => {
  const { id } = await create({ label: unique('cut read'), secret: SECRET });
  const { attempts, baseURL } = await cuttingProxy(t, { before: 'answer', cuts: 1 });
  const { totp: api } = new SendblueAPI({ ...keys, baseURL }).v2;
  const answer = await api.getCode(id);
  assert.equal(answer.code, codeAt(answer.server_time, { secret: SECRET }));
  assert.deepEqual(attempts.map(retryCount), ['0', '1']);
});
