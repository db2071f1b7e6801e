// The Rust SDK sends what the published packages send: each method, each option, request by request. It needs no Keyfob.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import * as connections from '@chatbotkit/sdk/contact/secret/v1';
import * as contacts from '@chatbotkit/sdk/contact/v1';
import * as templates from '@chatbotkit/sdk/platform/secret/v1';
import * as secrets from '@chatbotkit/sdk/secret/v1';
import { ChatBotKit } from '@chatbotkit/sdk';
import { ChatBotKitClient, ResponsePromise } from '@chatbotkit/sdk/client';
import SendblueAPI from 'sendblue';
import { difference, recorder, runExample } from './requests-support.mjs';
import { CASES, KEYS } from './sdk-cases.mjs';

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
const cases = (...names) => (name) => names.includes(name);
const begins = (...names) => (name) => names.some((begin) => name === begin || name.startsWith(`${begin}:`));

/** What differs on purpose. Each has to be seen in the cases that it is about, and in no other. */
const DIFFERENCES = [
  {
    why: 'the Rust SDK reads JSON and says so; a caller who wants another type sets the header',
    of: (name, published) => published?.accept === '*/*', fields: { accept: ['*/*', 'application/json'] },
  },
  {
    why: 'a create that is sent again must not make a second object, which Keyfob knows for sure by this key only',
    of: begins('contact.create', 'secret.create', 'v2.totp.secrets.create'), fields: { 'idempotency-key': [undefined, 'a UUID'] },
  },
  {
    why: 'ids are encoded, so that none leads to another endpoint; the package puts them into the path as they are',
    of: cases('contact.fetch: a slash'), fields: { path: ['/api/v1/contact/a/b/fetch', '/api/v1/contact/a%2Fb/fetch'] },
  },
  {
    why: 'the same', of: cases('contact.fetch: dots that climb'),
    fields: { path: ['/api/v1/secret/sec_1/fetch', '/api/v1/contact/a%2F..%2F..%2Fsecret%2Fsec_1/fetch'] },
  },
  {
    why: 'the same', of: cases('contact.fetch: a question mark'),
    fields: { path: ['/api/v1/contact/a', '/api/v1/contact/a%3Fb/fetch'], query: [['b/fetch'], undefined] },
  },
  {
    why: 'the same', of: cases('contact.fetch: a hash'), fields: { path: ['/api/v1/contact/a', '/api/v1/contact/a%23b/fetch'] },
  },
  {
    why: 'the same', of: cases('contact.fetch: a percent sign'),
    fields: { path: ['/api/v1/contact/a%2Fb/fetch', '/api/v1/contact/a%252Fb/fetch'] },
  },
  {
    why: 'the same', of: cases('contact.fetch: brackets'),
    fields: { path: ['/api/v1/contact/a[b]|c^d/fetch', '/api/v1/contact/a%5Bb%5D%7Cc%5Ed/fetch'] },
  },
  {
    why: 'the package writes one level of objects; the API takes keys with dots for deeper ones',
    of: cases('contact.list: meta in meta'),
    fields: { query: [['meta.plan=%5Bobject+Object%5D', 'meta.tags=a%2Cb'], ['meta.plan.tier=gold', 'meta.tags.0=a', 'meta.tags.1=b']] },
  },
  {
    why: 'a path in the base URL is kept, as where Keyfob is behind a proxy; the package drops it',
    of: cases('contact.list: below a path'), fields: { path: ['/api/v1/contact/list', '/vault/api/v1/contact/list'] },
  },
  {
    why: 'who means to act as a child does not act as its parent because a variable is empty: the server refuses the empty name',
    of: cases('contact.list: as a child without a name'),
    fields: { 'x-runas-user-id': [undefined, ''], 'x-runas-child-user-email': [undefined, ''] },
  },
  {
    why: 'a query that is in the path is sent as it is; the package writes it anew',
    of: cases('clientFetch: query beside one of the path'), fields: { query: [['x=1+2', 'y=+', 'z=3'], ['x=1+2', 'y=%20', 'z=3']] },
  },
  {
    why: 'a file without a name is called "blob", as in browsers; the package calls it "undefined"',
    of: cases('clientFetch: file'), fields: { body: ['a file called undefined', 'a file called blob'] },
  },
  {
    why: 'what is external gets nothing that is meant for the server: headers may hold secrets',
    of: cases('clientFetch: external'), fields: { 'x-team': ['sales', undefined], 'x-timezone': ['UTC', undefined] },
  },
  {
    why: 'a header has one value, however its name is spelt; the package sends both',
    of: cases('clientFetch: a header in capitals'), fields: { 'content-type': ['application/octet-stream, text/csv', 'text/csv'] },
  },
  {
    why: 'the key goes to no other server by accident: this is an error, unless the request is external',
    of: cases('clientFetch: another server'), count: [1, 0],
  },
  {
    why: 'Sendblue writes a blank as %20 and leaves ~ as it is: both forms are read as the same',
    of: cases('v2.totp.getCode: options'), fields: { query: [['q=a%20b%2F%C3%A9*~'], ['q=a+b%2F%C3%A9*%7E']] },
  },
];

/** What is different each time, or too long to be written down. */
function told(request) {
  const { body, 'idempotency-key': key } = request;
  const file = typeof body === 'string' && body.match(/filename="(undefined|blob)"/);
  const rest = file && body.replace(file[0], 'filename="NAME"');
  const wanted = '--MARK\r\nContent-Disposition: form-data; name="file"; filename="NAME"\r\nContent-Type: application/octet-stream\r\n\r\njust text\r\n--MARK--\r\n';
  return {
    ...request, ...(UUID.test(key) && { 'idempotency-key': 'a UUID' }),
    ...(file && rest === wanted && { body: `a file called ${file[1]}` }),
  };
}

describe('the requests of the published packages and of the Rust SDK', () => {
  const sides = {};
  const cleanups = [];
  after(() => cleanups.forEach((cleanup) => cleanup()));
  before(async () => {
    const t = { after: (cleanup) => cleanups.push(cleanup) };
    sides.published = await recorder(t);
    sides.rust = await recorder(t);
    for (const [, run] of CASES) await run(sides.published);
    const { status, stderr } = await runExample('every_method', {
      KEYFOB_URL: sides.rust.url, KEYFOB_TOKEN: KEYS.token, KEYFOB_KEY_ID: KEYS.id, KEYFOB_KEY_SECRET: KEYS.secret,
    });
    assert.equal(status, 0, stderr);
  });

  for (const [name] of CASES) {
    test(name, () => {
      const [published, rust] = [sides.published, sides.rust].map(({ seen }) => seen.get(name) ?? []);
      const known = DIFFERENCES.filter(({ of }) => of(name, published[0]));
      const [count] = known.flatMap((each) => (each.count ? [each.count] : []));
      assert.deepEqual([published.length, rust.length], count ?? [published.length, published.length], 'how many requests');
      assert.ok(published.length > 0, 'the package sent nothing');
      const fields = Object.assign({}, ...known.map((each) => each.fields));
      rust.forEach((request, i) => {
        assert.deepEqual(difference(told(published[i]), told(request)), fields, `request ${i + 1}`);
      });
      assert.ok(new Set(rust.map((request) => request['idempotency-key'])).size <= 1, 'one key for all attempts');
    });
  }

  test('every difference is that of a case', () => {
    const isSeen = ({ of }) => CASES.some(([name]) => of(name, sides.published.seen.get(name)?.[0]));
    assert.deepEqual(DIFFERENCES.filter((each) => !isSeen(each)), []);
  });

  test('neither side has a case that the other one has not', () => {
    const names = CASES.map(([name]) => name);
    assert.equal(new Set(names).size, names.length, 'two cases of one name');
    assert.deepEqual([...sides.rust.seen.keys()].filter((name) => !names.includes(name)), []);
  });
});

/** What the packages have besides, and why it has no case. */
const NOT_HERE = {
  'contact.conversation': 'conversations are of the original service; Keyfob keeps none',
  'contact.space': 'spaces are of the original service; Keyfob keeps none',
  'contact.task': 'tasks are of the original service; Keyfob keeps none',
  'v2.groups': 'messages are of the original service',
  'v2.seats': 'seats are of the original service',
  // Of an answer that is under way:
  then: 'await, in every case', catch: '`match` on the result', finally: 'what stands behind the `await`',
  stream: 'the cases "as a stream"', cache: 'the case "remembered"',
  getRequest: 'within the package', getFetchPromise: 'within the package', getStreamPromise: 'within the package',
};

const methodsOf = (prototype) => Object.entries(Object.getOwnPropertyDescriptors(prototype))
  .filter(([name, { value }]) => name !== 'constructor' && typeof value === 'function').map(([name]) => name);

/** Every method and every part of what `of` is, by its name in the package. */
function namesOf(of, prefix, isPart) {
  const parts = Object.keys(of).filter((name) => isPart(of[name]) && !name.startsWith('_'));
  return [...methodsOf(Object.getPrototypeOf(of)), ...parts].map((name) => prefix + name);
}

function published() {
  const keyfob = new ChatBotKit({ secret: 'x' });
  const isClient = (part) => part instanceof ChatBotKitClient;
  const modules = { 'contact.': keyfob.contact, 'contact.secret.': keyfob.contact.secret, 'secret.': keyfob.secret, 'platform.secret.': keyfob.platform.secret };
  const { v2 } = new SendblueAPI({ accessToken: 'x' });
  const isResource = (part) => part?.constructor?.name !== 'SendblueAPI' && typeof part === 'object';
  return {
    modules,
    names: [
      ...Object.entries(modules).flatMap(([prefix, of]) => namesOf(of, prefix, isClient)),
      ...namesOf(v2, 'v2.', isResource), ...namesOf(v2.totp, 'v2.totp.', isResource), ...namesOf(v2.totp.secrets, 'v2.totp.secrets.', isResource),
      ...methodsOf(ChatBotKitClient.prototype), ...methodsOf(ResponsePromise.prototype),
    ],
  };
}

test('every method of the packages has a case, or a reason why it has none', () => {
  const { names } = published();
  const called = CASES.map(([name]) => name.split(': ')[0]);
  const isThere = (name) => name in NOT_HERE || called.some((call) => call === name || call.startsWith(`${name}.`));
  assert.deepEqual(names.filter((name) => !isThere(name)), []);
  assert.deepEqual([...called, ...Object.keys(NOT_HERE)].filter((name) => !names.includes(name)), [], 'the packages have these no more');
});

test('the functions of the modules v1 are the methods of the classes', () => {
  const { modules } = published();
  const functions = { 'contact.': contacts, 'contact.secret.': connections, 'secret.': secrets, 'platform.secret.': templates };
  for (const [prefix, of] of Object.entries(modules)) {
    const verbs = Object.keys(functions[prefix]).map((name) => name.match(/^[a-z]+/)[0]);
    assert.deepEqual(verbs.sort(), methodsOf(Object.getPrototypeOf(of)).sort(), prefix);
  }
});

test('the page about moving from the packages has each of their methods and options', () => {
  const page = readFileSync(new URL('../../../crates/client/MIGRATION.md', import.meta.url), 'utf8');
  const types = readFileSync(new URL('client.d.ts', import.meta.resolve('@chatbotkit/sdk/client')), 'utf8');
  const optionsIn = (pattern) => [...types.match(pattern)[1].matchAll(/^\s+(\w+)\??:/gm)].map(([, name]) => name);
  const built = optionsIn(/type ChatBotKitClientOptions = \{(.*?)^\};/ms);
  const fetched = optionsIn(/clientFetch<T, U>\(path: string, options\?: \{(.*?)^ {4}\}\)/ms);
  assert.ok(built.includes('runAsUserId') && fetched.includes('retryTimeout'), 'the options were found');
  const { names } = published();
  const within = new Set(Object.keys(NOT_HERE).filter((name) => name.startsWith('get') || name.includes('.')));
  const wanted = [...built, ...fetched, ...names.filter((name) => !within.has(name) && !['contact.secret', 'v2.totp', 'v2.totp.secrets'].includes(name))];
  const rows = page.split('\n').filter((line) => line.startsWith('|')).map((line) => line.split('|')[1]).join('\n');
  assert.deepEqual(wanted.filter((name) => !new RegExp(`\\b${name.replaceAll('.', '\\.')}\\b`).test(rows)), []);
});
