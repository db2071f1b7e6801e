// What the published packages are asked to do; crates/client/examples/every_method asks the same of the Rust SDK.
// A case is named after the method that it calls, and its arguments are in the words of the package.

import { ChatBotKit } from '@chatbotkit/sdk';
import SendblueAPI from 'sendblue';

export const KEYS = { token: 'kft_token', id: 'kid_1', secret: 'kfs_secret' };
const UUID = '550e8400-e29b-41d4-a716-446655440000';
const PATH = '/api/v1/contact/list';
const REPORT = '/api/v1/report/1';

/** The method that a name leads to, bound to what it is of. */
function method(client, name) {
  const names = name.split('.');
  const last = names.pop();
  const of = names.reduce((object, part) => object[part], client);
  return of[last].bind(of);
}

function chatbotkit(name, args = [], { options, way = (answer) => answer } = {}) {
  const [called] = name.split(': ');
  const run = (at) => {
    const more = typeof options === 'function' ? options(at) : options;
    const headers = { 'x-case': name, ...more?.headers };
    return way(method(new ChatBotKit({ secret: KEYS.token, baseUrl: at.url, ...more, headers }), called)(...(typeof args === 'function' ? args(at) : args)));
  };
  return [name, run];
}

function sendblue(name, args = [], { options = { apiKey: KEYS.id, apiSecret: KEYS.secret } } = {}) {
  const [called] = name.split(': ');
  const run = ({ url }) => method(new SendblueAPI({ baseURL: url, ...options, defaultHeaders: { 'x-case': name } }), called)(...args);
  return [name, run];
}

const streamed = { way: async (answer) => { for await (const _ of answer.stream()); } };
const fails = { way: (answer) => answer.then(() => { throw new Error('it did not fail'); }, () => undefined) };

const CONTACTS = [
  chatbotkit('contact.list'),
  chatbotkit('contact.list: a page', [{ cursor: 'con_1 & more', order: 'asc', take: 5 }]),
  chatbotkit('contact.list: the newest first', [{ order: 'desc' }]),
  chatbotkit('contact.list: meta of every kind', [{ take: 10, meta: {
    team: 'sales & more', 'a&b': '1+1=2 %', name: 'Zoë 日本 👩‍👩‍👧‍👦', empty: '',
    trial: true, seats: 3, share: 0.5, whole: 2.0, large: 1e16, small: 0.00001, none: null, missing: undefined,
  } }]),
  chatbotkit('contact.list: filters by name', [{ meta: { team: 'sales & more', 'plan.tier': 'gold' }, cursor: undefined, order: null }]),
  chatbotkit('contact.list: as a stream', [{ take: 3, meta: { team: 'sales' } }], streamed),
  chatbotkit('contact.list: remembered', [{ take: 7 }], { way: async (answer) => { await answer.cache('week'); await answer.cache('week'); } }),
  chatbotkit('contact.fetch', ['con_1']),
  chatbotkit('contact.fetch: marks', ["~a-b.c_d!$&'()*+,;=:@"]),
  chatbotkit('contact.fetch: beyond ASCII', ['(Käse 日本 1)']),
  chatbotkit('contact.create', [{
    name: 'Ann "A" Lee', description: 'line\nline', fingerprint: 'customer:00000042', email: 'ann@example.com', phone: '+12025550123',
    nick: 'annie 🦊', preferences: '', verifiedAt: 1775390400000,
    meta: { team: 'sales', deep: { er: [1, 0.5, null, { x: true }] }, none: null, missing: undefined },
  }]),
  chatbotkit('contact.create: nothing', [{}]),
  chatbotkit('contact.create: sent again', [{}], { options: { headers: { 'x-refuse': '2' }, retryDelay: 1 } }),
  chatbotkit('contact.update', ['con_1', { verifiedAt: null, meta: { $update: { team: null, deep: { er: [] } } } }]),
  chatbotkit('contact.update: nulls', ['con_1', { name: null, meta: null }]),
  chatbotkit('contact.delete', ['con_1']),
  chatbotkit('contact.ensure', [{ fingerprint: 'customer:00000042', name: 'Ann' }]),
  chatbotkit('contact.secret.list', ['con_1']),
  chatbotkit('contact.secret.list: a page', ['con_1', { cursor: 'sec_9', order: 'asc', take: 100, meta: { team: 'a b' } }]),
  chatbotkit('contact.secret.list: as a stream', ['con_1'], streamed),
  chatbotkit('contact.secret.verify', ['con_1', 'sec_1']),
  chatbotkit('contact.secret.verify: by alias', ['con_1', '@github']),
  chatbotkit('contact.secret.authenticate', ['con_1', '(Weather API)']),
  chatbotkit('contact.secret.revoke', ['con_1', 'sec_1']),
  chatbotkit('contact.fetch: a slash', ['a/b']),
  chatbotkit('contact.fetch: dots that climb', ['a/../../secret/sec_1']),
  chatbotkit('contact.fetch: a question mark', ['a?b']),
  chatbotkit('contact.fetch: a hash', ['a#b']),
  chatbotkit('contact.fetch: a percent sign', ['a%2Fb']),
  chatbotkit('contact.fetch: brackets', ['a[b]|c^d']),
  chatbotkit('contact.list: meta in meta', [{ meta: { plan: { tier: 'gold' }, tags: ['a', 'b'] } }]),
];

const SECRETS = [
  chatbotkit('secret.list'),
  chatbotkit('secret.list: a page', [{ cursor: 'sec_9', order: 'asc', take: 1, meta: { team: 'sales' } }]),
  chatbotkit('secret.list: as a stream', [{ order: 'desc' }], streamed),
  chatbotkit('secret.fetch', ['sec_1']),
  chatbotkit('secret.fetch: by name', ['(CI token)']),
  chatbotkit('secret.create', [{
    alias: 'mail', name: 'Mail', description: 'To read \u2028 mail', blueprintId: 'blu_1', kind: 'personal', type: 'oauth', value: 'hidden',
    config: {
      clientId: 'me', clientSecret: '********', hosts: ['api.example.com'], expiresInSeconds: 60,
      inject: { header: 'X-Api-Key', prefix: null },
    },
    visibility: 'private', meta: { deep: { er: null } },
  }]),
  chatbotkit('secret.update', ['@mail', { name: 'Post' }]),
  chatbotkit('secret.update: nulls', ['sec_1', { alias: null, value: null, config: null }]),
  chatbotkit('secret.delete', ['sec_1']),
  chatbotkit('secret.verify', ['sec_1']),
  chatbotkit('secret.authenticate', ['sec_1']),
  chatbotkit('secret.revoke', ['sec_1']),
  chatbotkit('platform.secret.list'),
  chatbotkit('platform.secret.list: a page', [{ cursor: 'gmail', order: 'asc', take: 2 }]),
  chatbotkit('platform.secret.list: as a stream', [], streamed),
  chatbotkit('platform.secret.search', [{ search: 'Google & mail', take: 3 }]),
];

const list = (what, options) => chatbotkit(`contact.list: ${what}`, [], { options });
const OPTIONS = [
  list('as a child', { runAsUserId: 'acc_1' }),
  list('as a child by e-mail', { runAsChildUserEmail: 'kid+1@example.com' }),
  list('as a child by both', { runAsUserId: 'acc_1', runAsChildUserEmail: 'kid@example.com' }),
  list('as a child without a name', { runAsUserId: '', runAsChildUserEmail: '' }),
  list('a timezone', { timezone: 'Europe/Berlin' }),
  list('more headers', { headers: { 'x-team': 'sales', 'x-trace': 'a, b' } }),
  list('headers that options replace', { headers: { authorization: 'Basic eA==', 'x-timezone': 'UTC' }, timezone: 'Asia/Tokyo' }),
  list('host and protocol', ({ host }) => ({ baseUrl: 'https://keyfob.invalid', host, protocol: 'http:' })),
  chatbotkit('contact.list: another endpoint', [{ take: 1 }], { options: { endpoints: { [PATH]: '/mirror/contacts?from=here' } } }),
  chatbotkit('extend', [{ headers: { 'x-team': 'new' }, runAsUserId: 'acc_2' }], {
    options: { headers: { 'x-team': 'old', 'x-trace': '1' }, timezone: 'UTC' }, way: (client) => client.clientFetch(PATH),
  }),
  list('below a path', ({ url }) => ({ baseUrl: `${url}/vault/` })),
];

const fetched = (what, path, given, more) => chatbotkit(what ? `clientFetch: ${what}` : 'clientFetch', [path, given], more);
const elsewhere = ({ url }) => `${url.replace('127.0.0.1', 'localhost')}/hook`;
const again = (headers, more) => ({ headers, retryDelay: 1, ...more });
const FETCHED = [
  fetched('', PATH),
  fetched('query', PATH, { query: { take: 2, q: "a b&c=d/é~*'", yes: true, no: false, none: null, missing: undefined, meta: { n: 1e21 } } }),
  fetched('query beside one of the path', '/a?x=1+2&y=%20', { query: { z: 3 } }),
  fetched('record', REPORT, { record: {
    text: 'é \u{1f98a} "q" \\ \u{7f}', deep: { er: [null, 1.5, -2, false, {}] }, none: null, missing: undefined,
  } }),
  fetched('method', REPORT, { method: 'DELETE' }),
  fetched('method with a record', REPORT, { method: 'PUT', record: {} }),
  fetched('buffer', REPORT, { buffer: new Uint8Array([0, 1, 13, 10, 0xff, 0xfe]).buffer }),
  fetched('buffer of a type', REPORT, { buffer: new TextEncoder().encode('a,b\n').buffer, headers: { 'content-type': 'text/csv' } }),
  fetched('file', REPORT, { file: { data: 'just text' } }),
  fetched('file with a name', REPORT, {
    file: { data: new Uint8Array([0, 1, 13, 10, 0xff]).buffer, name: 're "port" é.bin', type: 'image/png' },
  }),
  fetched('headers', PATH, { headers: { 'x-team': 'sales', 'x-timezone': 'UTC' } }),
  fetched('headers that replace', PATH, { headers: { authorization: 'Bearer another' } }),
  fetched('endpoint', PATH, { endpoint: 'contacts' }, { options: { endpoints: { contacts: '/mirror/contacts' } } }),
  fetched('external', '/hook', { external: true, record: { a: 1 } }, { options: {
    headers: { 'x-team': 'sales' }, timezone: 'UTC', runAsUserId: 'acc_1', runAsChildUserEmail: 'kid@example.com',
  } }),
  fetched('fetchFn', PATH, { fetchFn: (url, init) => fetch(url, { ...init, headers: { ...init.headers, 'x-own': 'yes' } }) }),
  fetched('as a stream', PATH, undefined, streamed),
  fetched('a header in capitals', REPORT, { buffer: new TextEncoder().encode('a,b\n').buffer, headers: { 'Content-Type': 'text/csv' } }),
  chatbotkit('clientFetch: another server', (at) => [elsewhere(at)]),
  chatbotkit('clientFetch: another server that is external', (at) => [elsewhere(at), { external: true }]),
  fetched('retryDelay', PATH, again({ 'x-refuse': '3' })),
  fetched('retryDelay of a record', PATH, again({ 'x-refuse': '2' }, { record: { a: 1 } })),
  fetched('retries', PATH, again({ 'x-refuse': '9' }, { retries: 1 }), fails),
  fetched('timeout', PATH, again({ 'x-silent': '1' }, { timeout: 100 })),
  fetched('retryTimeout', PATH, again({ 'x-silent': '9' }, { timeout: 100, retryTimeout: false }), fails),
];

const CODES = [
  sendblue('v2.totp.getCode', [UUID]),
  sendblue('v2.totp.getCode: a wish', ['t1', { query: { min_validity: 10, unique: true } }]),
  sendblue('v2.totp.getCode: the next one too', ['t1', { query: { include: 'next' } }]),
  sendblue('v2.totp.getCode: an id that is encoded', ['a b/c?d#e%é[]|^"@:!$&\'()*+,;=']),
  sendblue('v2.totp.getCode: options', ['t1', { headers: { 'x-team': 'sales' }, query: { q: 'a b/é*~' } }]),
  sendblue('v2.totp.getCode: a retry', ['t1', { headers: { 'x-refuse': '1' } }]),
  sendblue('v2.totp.secrets.list'),
  sendblue('v2.totp.secrets.create', [{
    label: 'GitHub - agent@example.com', secret: 'JBSWY3DPEHPK3PXP', issuer: 'GitHub', algorithm: 'SHA256', digits: 8, period: 60,
  }]),
  sendblue('v2.totp.secrets.create: a URI', [{ uri: 'otpauth://totp/A%20B:c?secret=JBSWY3DPEHPK3PXP&issuer=A%20B' }]),
  sendblue('v2.totp.secrets.delete', [UUID]),
  sendblue('v2.totp.secrets.list: with a token', [], { options: { accessToken: KEYS.token } }),
];

export const CASES = [...CONTACTS, ...SECRETS, ...OPTIONS, ...FETCHED, ...CODES];
