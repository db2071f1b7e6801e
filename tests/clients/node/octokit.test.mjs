// GitHub's published package for Node, unmodified, through Keyfob's proxy to a server of the test's own: each contact's
// own token. tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Octokit } from '@octokit/core';
import { paginateRest } from '@octokit/plugin-paginate-rest';
import { client } from './chatbotkit-support.mjs';
import { Browser, ann, connect, pathOf, personal } from './connection-support.mjs';
import { TOKEN, finds, injected, json, through, upstream, watch } from './proxy-support.mjs';
import { value } from './secret-support.mjs';
import { unique } from './support.mjs';

const connections = client().contact.secret;
const GitHub = Octokit.plugin(paginateRest);

/** A server that knows people by their tokens, and the secret by which contacts connect theirs. */
async function github(t, answer) {
  const people = new Map();
  const server = await upstream(t, (came, response) => {
    const login = people.get(came.headers.authorization);
    return login ? answer({ ...came, login }, response) : json(response, { message: 'Bad credentials' }, { status: 401 });
  });
  const secret = await personal({ type: 'bearer', name: unique('GitHub'), config: { hosts: [server.host], schema: 'token' } });
  const octokit = (contact) => {
    const watched = watch();
    const api = new GitHub({ auth: TOKEN, baseUrl: through(server.url, secret, contact), request: { fetch: watched.fetch } });
    return { contact, api, watched };
  };
  /** A contact who has connected a token, and a client that uses it. */
  const person = async (login) => {
    const token = value();
    people.set(`token ${token}`, login);
    const contact = await ann();
    assert.equal((await connect(contact, secret, { value: token })).status, 200);
    return { login, token, ...octokit(contact) };
  };
  return { server, secret, octokit, person, people };
}

const unseen = (...all) => {
  for (const { watched } of all) for (const { token } of all) assert.ok(!finds(watched.all(), token), 'a client has seen a token');
};

async function failure(promise, status) {
  const error = await promise.then(() => assert.fail(`expected ${status}`), (thrown) => thrown);
  assert.deepEqual([error.name, error.status], ['HttpError', status], error.stack);
  return error;
}

test('two contacts at once each have their own token sent, and never the other\'s', async (t) => {
  const { server, person } = await github(t, ({ login, path }, response) => json(response, { login, path }));
  const both = [await person('ann'), await person('bob')];
  await Promise.all(Array.from({ length: 60 }, async (_, i) => {
    const { api, login } = both[i % 2];
    const { status, data } = await api.request('GET /users/{username}/repos', { username: login, page: i });
    assert.deepEqual([status, data], [200, { login, path: `/users/${login}/repos?page=${i}` }]);
  }));
  assert.equal(server.got.length, 60);
  for (const came of server.got) {
    const { token } = both.find(({ login }) => came.path.startsWith(`/users/${login}/`));
    injected(came, token, 'authorization', 'token ');
  }
  unseen(...both);
});

test('each method comes as it was sent, and what has no body comes back without one', async (t) => {
  const { server, person } = await github(t, ({ method, headers, body }, response) => {
    if (headers['if-none-match'] === '"1"') return response.writeHead(304, { etag: '"1"' }).end();
    if (method === 'DELETE') return response.writeHead(204).end();
    return json(response, method === 'HEAD' ? '' : { method, got: body.toString() }, { etag: '"1"' });
  });
  const { api, token, ...ann } = await person('ann');
  const at = '/repos/ann/x/issues/1';
  for (const method of ['POST', 'PUT', 'PATCH']) {
    const { data } = await api.request(`${method} ${at}`, { title: 'Zoë 🔑' });
    assert.deepEqual(data, { method, got: '{"title":"Zoë 🔑"}' });
  }
  const [gone, head] = [await api.request(`DELETE ${at}`), await api.request(`HEAD ${at}`)];
  assert.deepEqual([gone.status, gone.data], [204, '']);
  assert.deepEqual([head.status, head.headers.etag], [200, '"1"']);
  const known = await failure(api.request(`GET ${at}`, { headers: { 'if-none-match': '"1"' } }), 304);
  assert.deepEqual([known.response.headers.etag, known.response.data], ['"1"', '']);
  assert.deepEqual(server.got.map(({ method, path }) => [method, path]), ['POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'GET'].map((method) => [method, at]));
  for (const came of server.got) injected(came, token, 'authorization', 'token ');
  unseen({ token, ...ann });
});

test('all pages of a list are had by the links between them, each with the contact\'s token', async (t) => {
  const LAST = 3;
  const { server, person } = await github(t, ({ path, headers }, response) => {
    const page = Number(new URL(path, 'http://x').searchParams.get('page') ?? 1);
    const to = (number, rel) => `<http://${headers.host}/user/repos?per_page=2&page=${number}>; rel="${rel}"`;
    const links = page < LAST ? { link: [to(page + 1, 'next'), to(LAST, 'last')].join(', ') } : {};
    json(response, [{ id: page * 10 }, { id: page * 10 + 1 }], links);
  });
  const ann = await person('ann');
  const { headers } = await ann.api.request('GET /user/repos', { per_page: 2 });
  // Keyfob is behind a proxy on its own machine, as far as it can see: links lead to the public address.
  const { pathname } = new URL(ann.api.request.endpoint.DEFAULTS.baseUrl);
  const next = `${process.env.KEYFOB_PUBLIC_URL}${pathname}/user/repos?per_page=2&page=`;
  assert.equal(headers.link, `<${next}2>; rel="next", <${next}3>; rel="last"`);
  const all = await ann.api.paginate('GET /user/repos', { per_page: 2 });
  assert.deepEqual(all.map(({ id }) => id), [10, 11, 20, 21, 30, 31]);
  assert.equal(server.got.length, 1 + LAST);
  for (const came of server.got) injected(came, ann.token, 'authorization', 'token ');
  unseen(ann);
});

test('a contact who has connected nothing is asked to, and then it works, until it is revoked', async (t) => {
  const { server, secret, octokit, people } = await github(t, ({ login }, response) => json(response, { login }));
  const token = value();
  people.set(`token ${token}`, 'ann');
  const { api, contact, watched } = octokit(await ann());
  const { response: { data } } = await failure(api.request('GET /user'), 409);
  assert.deepEqual([data.error, data.code], ['authorization_required', 'AUTHORIZATION_REQUIRED']);
  assert.equal(server.got.length, 0);
  const page = await new Browser().submit(data.url, { value: token });
  assert.match(page.text, /is connected/);
  assert.deepEqual((await api.request('GET /user')).data, { login: 'ann' });
  await connections.revoke(contact, secret);
  pathOf((await failure(api.request('GET /user'), 409)).response.data.url);
  assert.equal(server.got.length, 1);
  unseen({ token, watched });
});

test('a token that the server does not know, or may not do this with, is the server\'s to refuse', async (t) => {
  const { server, person, people } = await github(t, (_, response) => {
    json(response, { message: 'Resource not accessible' }, { status: 403, 'x-ratelimit-remaining': '0', 'retry-after': '60' });
  });
  const ann = await person('ann');
  const { message, response } = await failure(ann.api.request('GET /user'), 403);
  assert.equal(message, 'Resource not accessible');
  assert.deepEqual([response.headers['x-ratelimit-remaining'], response.headers['retry-after']], ['0', '60']);
  people.clear();
  assert.equal((await failure(ann.api.request('GET /user'), 401)).message, 'Bad credentials');
  assert.equal(server.got.length, 2, 'none of them was sent again');
  unseen(ann);
});
