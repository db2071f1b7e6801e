// The published OpenAI package for Node, unmodified, through Keyfob's proxy to a server of the test's own. Of the
// package only the base URL and the key are set. tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import OpenAI, { toFile } from 'openai';
import { client } from './chatbotkit-support.mjs';
import { REDACTED, TOKEN, finds, injected, json, through, upstream, watch } from './proxy-support.mjs';
import { alias, value } from './secret-support.mjs';
import { unique } from './support.mjs';

const { secret } = client();
const QUESTION = { model: 'gpt-test', messages: [{ role: 'user', content: 'Zoë 日本 🔑?' }] };
/** A test that waits for something that never comes fails then. */
const PATIENCE = { timeout: 30_000 };

const openai = (baseURL, watched, options) =>
  new OpenAI({ apiKey: TOKEN, baseURL: `${baseURL}/v1`, maxRetries: 0, fetch: watched.fetch, ...options });

/** A server, the secret that is for it, and a client that has Keyfob's key and no other. */
async function model(t, answer) {
  const server = await upstream(t, answer);
  const [credential, mine, name] = [value(), alias(), unique('Zoë\'s model 🔑')];
  const config = { hosts: [server.host], paths: ['/v1/'] };
  const { id } = await secret.create({ type: 'bearer', name, alias: mine, value: credential, config });
  const watched = watch();
  const ai = openai(through(server.url, id), watched);
  /** That the server had the credential with each of its requests, and the client never. */
  const check = (requests = 1) => {
    assert.equal(server.got.length, requests);
    for (const came of server.got) injected(came, credential);
    assert.ok(!finds(watched.all(), credential), 'the client has seen the credential');
  };
  return { server, credential, id, names: [id, `@${mine}`, encodeURIComponent(`(${name})`)], watched, ai, check };
}

const choice = (more) => ({ index: 0, finish_reason: 'stop', ...more });
const completion = (content) => ({
  id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'gpt-test', choices: [choice({ message: { role: 'assistant', content } })],
});
const chunk = (content) => {
  const choices = [choice({ finish_reason: null, delta: { content } })];
  return `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'gpt-test', choices })}\n\n`;
};
const startEvents = (response) => response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
const contentOf = ({ choices: [{ message }] }) => message.content;

async function failure(promise, kind, status) {
  const error = await promise.then(() => assert.fail(`expected ${status}`), (thrown) => thrown);
  assert.ok(error instanceof kind, error.stack);
  assert.equal(error.status, status);
  return error;
}

// --- answers ---

test('a chat completion is had with a credential that the client never holds', async (t) => {
  const { server, watched, names, check } = await model(t, ({ headers }, response) => {
    // This client takes what is compressed.
    assert.match(headers['accept-encoding'], /gzip/);
    const body = gzipSync(JSON.stringify(completion('Grüße 🔑')));
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip', 'x-ratelimit-remaining-tokens': '9' }).end(body);
  });
  for (const at of names) {
    const ai = openai(through(server.url, at), watched);
    const { data, response } = await ai.chat.completions.create(QUESTION).withResponse();
    assert.equal(contentOf(data), 'Grüße 🔑');
    assert.equal(response.headers.get('x-ratelimit-remaining-tokens'), '9');
  }
  check(names.length);
  for (const { method, path, headers, body } of server.got) {
    assert.deepEqual([method, path, JSON.parse(body)], ['POST', '/v1/chat/completions', QUESTION]);
    assert.match(headers['user-agent'], /^OpenAI/);
  }
});

test('the events of a streamed completion come one by one, each before the next is sent', PATIENCE, async (t) => {
  const words = ['One', ' by', ' one', ' 🔑'];
  const reader = new EventEmitter();
  const { ai, check } = await model(t, async (_, response) => {
    startEvents(response);
    for (const word of words) {
      const taken = once(reader, word);
      response.write(chunk(word));
      await taken;
    }
    response.end('data: [DONE]\n\n');
  });
  const got = [];
  for await (const { choices: [{ delta }] } of await ai.chat.completions.create({ ...QUESTION, stream: true })) {
    got.push(delta.content);
    reader.emit(delta.content);
  }
  assert.deepEqual(got, words);
  check();
});

test('a streamed completion that breaks off is not taken for a whole one', PATIENCE, async (t) => {
  const { ai, check } = await model(t, (_, response) => {
    startEvents(response).write(chunk('half'), () => response.destroy());
  });
  const got = [];
  const read = async () => {
    for await (const { choices: [{ delta }] } of await ai.chat.completions.create({ ...QUESTION, stream: true })) got.push(delta.content);
  };
  await assert.rejects(read);
  assert.ok(['half', ''].includes(got.join('')), `${got}`);
  check();
});

test('a client that leaves a stream ends it at the server', PATIENCE, async (t) => {
  const server = new EventEmitter();
  const { ai, check } = await model(t, (_, response) => {
    response.on('close', () => server.emit('left'));
    startEvents(response).write(chunk('first'));
  });
  const left = once(server, 'left');
  for await (const _ of await ai.chat.completions.create({ ...QUESTION, stream: true })) break;
  await left;
  check();
});

// --- files ---

test('files of megabytes go up and come down byte for byte', PATIENCE, async (t) => {
  const bytes = randomBytes(3 * 1024 * 1024 + 1);
  const { ai, server, check } = await model(t, async ({ method }, response) => {
    if (method === 'GET') return response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(bytes);
    return json(response, { id: 'file-1', object: 'file', bytes: bytes.length, filename: 'Zoë.jsonl', purpose: 'fine-tune' });
  });
  const file = await ai.files.create({ file: await toFile(bytes, 'Zoë.jsonl'), purpose: 'fine-tune' });
  assert.equal(file.id, 'file-1');
  const back = await ai.files.content(file.id);
  assert.ok(bytes.equals(Buffer.from(await back.arrayBuffer())), 'what came down');
  const [{ headers, body }] = server.got;
  const form = await new Response(body, { headers: { 'content-type': headers['content-type'] } }).formData();
  assert.equal(form.get('purpose'), 'fine-tune');
  assert.equal(form.get('file').name, 'Zoë.jsonl');
  assert.ok(bytes.equals(Buffer.from(await form.get('file').arrayBuffer())), 'what went up');
  check(2);
});

// --- refusals ---

test('a server that has had too many requests is asked again when it says so', PATIENCE, async (t) => {
  const { ai, server, check } = await model(t, (_, response) => {
    if (server.got.length > 2) return json(response, completion('at last'));
    const error = { message: 'Rate limit reached', type: 'requests', code: 'rate_limit_exceeded', param: null };
    return json(response, { error }, { status: 429, 'retry-after-ms': '1', 'x-ratelimit-remaining-requests': '0' });
  });
  const limited = await failure(ai.chat.completions.create(QUESTION), OpenAI.RateLimitError, 429);
  assert.deepEqual([limited.code, limited.type, limited.message], ['rate_limit_exceeded', 'requests', '429 Rate limit reached']);
  assert.equal(limited.headers.get('x-ratelimit-remaining-requests'), '0');
  assert.equal(contentOf(await ai.chat.completions.create(QUESTION, { maxRetries: 1 })), 'at last');
  check(3);
});

test('a credential that the server refuses is the server\'s answer, and is sent once', async (t) => {
  const { ai, check } = await model(t, (_, response) => {
    const error = { message: 'Incorrect API key provided', type: 'invalid_request_error', code: 'invalid_api_key' };
    json(response, { error }, { status: 401, 'www-authenticate': 'Bearer' });
  });
  const { code, headers } = await failure(ai.models.list(), OpenAI.AuthenticationError, 401);
  assert.deepEqual([code, headers.get('www-authenticate')], ['invalid_api_key', 'Bearer']);
  check();
});

test('Keyfob\'s own refusals are errors of the package too, and nothing is sent', async (t) => {
  const { server, id, watched, check } = await model(t, (_, response) => json(response, {}));
  const other = await upstream(t, (_, response) => json(response, {}));
  const list = (to, options) => openai(to, watched, options).models.list();
  for (const apiKey of [`${TOKEN}x`, 'nonsense']) {
    const { error } = await failure(list(through(server.url, id), { apiKey }), OpenAI.AuthenticationError, 401);
    assert.equal(error, 'not_authenticated');
  }
  for (const to of [other.url, `${server.url}/v2`, server.url.replace('127.0.0.1', 'localhost'), 'https://127.0.0.1', 'http://169.254.169.254']) {
    const { error } = await failure(list(through(to, id)), OpenAI.BadRequestError, 400);
    assert.equal(error, 'invalid_destination', to);
  }
  await failure(list(through(server.url, '@nobody')), OpenAI.NotFoundError, 404);
  assert.equal(other.got.length, 0);
  check(0);
});

test('a secret that has no value is no credential, and nothing is sent', async (t) => {
  const { ai, id, check } = await model(t, (_, response) => json(response, {}));
  await secret.revoke(id);
  const { error } = await failure(ai.models.list(), OpenAI.ConflictError, 409);
  assert.equal(error, 'authorization_required');
  check(0);
});

test('a redirect that the client follows takes the credential nowhere', async (t) => {
  const elsewhere = await upstream(t, (_, response) => json(response, completion('from elsewhere')));
  const { ai, credential, check } = await model(t, (_, response) => response.writeHead(307, { location: `${elsewhere.url}/v1/x` }).end());
  assert.equal(contentOf(await ai.chat.completions.create(QUESTION)), 'from elsewhere');
  const [{ rawHeaders }] = elsewhere.got;
  for (const token of [credential, TOKEN]) assert.ok(!finds(Buffer.from(rawHeaders.join('\n')), token), 'it went elsewhere');
  check();
});

// --- a server that sends back what it got ---

/** In the status line, a header, and a body, as it is and encoded. */
function echo({ headers: { authorization }, body }, response) {
  const text = `you sent ${authorization}, ${Buffer.from(authorization).toString('base64')}`;
  const { stream, fail } = JSON.parse(body);
  response.setHeader('x-echo', authorization);
  if (fail) {
    response.writeHead(400, `Bad ${authorization}`, { 'content-type': 'application/json' });
    return response.end(JSON.stringify({ error: { message: text } }));
  }
  if (!stream) return json(response, completion(text));
  const event = chunk(text);
  // In the middle of the credential.
  const at = event.indexOf(authorization) + 20;
  return startEvents(response).write(event.slice(0, at), () => response.end(`${event.slice(at)}data: [DONE]\n\n`));
}

const asked = {
  'in an answer': async (ai) => contentOf(await ai.chat.completions.create(QUESTION)),
  'in an error': async (ai) => (await failure(ai.chat.completions.create({ ...QUESTION, fail: true }), OpenAI.BadRequestError, 400)).message,
  'in an event': async (ai) => {
    let text = '';
    for await (const { choices: [{ delta }] } of await ai.chat.completions.create({ ...QUESTION, stream: true })) text += delta.content;
    return text;
  },
};
for (const [where, ask] of Object.entries(asked)) {
  test(`a server that sends the credential back ${where} tells the client nothing`, PATIENCE, async (t) => {
    const { ai, server, credential, watched, check } = await model(t, echo);
    const text = await ask(ai);
    assert.match(text, /you sent Bearer \[redacted by keyfob\], /);
    assert.ok(watched.all().includes(`["x-echo","Bearer ${REDACTED}"]`));
    check();
    // The same client finds it there without Keyfob, so this would have been noticed.
    const direct = watch();
    assert.ok(finds(Buffer.from(await ask(openai(server.url, direct, { apiKey: credential }))), credential));
    const got = direct.all().toString('latin1').split(credential).length;
    assert.ok(got > 3, `found in ${got - 1} places`);
  });
}
