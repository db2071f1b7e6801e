// Every snippet of docs/sdk.md, in its four languages, against Keyfob: TypeScript is checked and run, Rust is the text of an
// example that was built. Each says the same thing, which the test knows.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ChatBotKit } from '@chatbotkit/sdk';
import ts from 'typescript';
import { child } from './chatbotkit-support.mjs';
import { connect, pathOf } from './connection-support.mjs';
import { json, upstream } from './proxy-support.mjs';
import { runExample } from './requests-support.mjs';
import { value } from './secret-support.mjs';
import { env, url } from './support.mjs';

const read = (path) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const LANGUAGES = ['rust', 'ts', 'python', 'sh'];
const SET_UP = 'Set up';
/** Where a set-up has what follows. */
const PLACE = /^( *)(?:\.\.\. {2}#|\/\/ …|# …) what follows(?: …)?$/m;
const clients = fileURLToPath(new URL('..', import.meta.url));

/** The snippets of each section of the page: of each language one. */
const sections = new Map(read('docs/sdk.md').split(/^## /m).slice(1).map((section) => {
  const blocks = [...section.matchAll(/^```(\w+)\n(.*?)^```/gms)].map(([, language, code]) => [language, code]);
  assert.deepEqual(blocks.map(([language]) => language), LANGUAGES, section.split('\n')[0]);
  return [section.split('\n')[0], Object.fromEntries(blocks)];
}));

/** A snippet in its set-up. */
function whole(title, language) {
  const setUp = sections.get(SET_UP)[language];
  const [place, indent] = setUp.match(PLACE);
  const code = sections.get(title)[language].trimEnd().split('\n').map((line) => line && indent + line).join('\n');
  return setUp.replace(place, () => code);
}

const LINK = /(https?:\S+\/connect\/\S+)$/;
/** What is on the only line that was said: a link with these words before it. */
function linkAfter(words) {
  return (said) => {
    assert.ok(said.startsWith(words), said);
    pathOf(said.match(LINK)[1]);
  };
}
const is = (wanted) => (said) => assert.deepEqual(said, wanted);
const parsed = (check) => (said) => check(JSON.parse(said));
/** The code may have changed once meanwhile. */
const isCode = async ({ firstCode, code }, said) => assert.ok([firstCode, await code()].includes(said), said);

/** What each snippet says; `ids` are what the set-up made. */
const TASKS = {
  'Connect a contact': { example: 'connect', key: 'backend', says: () => linkAfter('Ann, please open ') },
  'See what a contact has connected': {
    example: 'connected', says: () => is('Weather API (bearer)'),
    sh: ({ weather }) => parsed(({ items: [{ id, status }, ...more] }) => assert.deepEqual([id, status, more], [weather, 'authenticated', []])),
  },
  'Send a request with a credential': {
    example: 'send', says: () => (said) => assert.match(said, /^200\b.*\{"forecast":"rain in Oslo"\}$/),
    ts: () => is("{ forecast: 'rain in Oslo' }"), sh: () => is('{"forecast":"rain in Oslo"}'),
  },
  'Get the current one-time code': {
    example: 'code', says: (made) => (said) => isCode(made, said.match(/^(\d{6}) for \d+ s$/)[1]),
    sh: (made) => parsed(({ code }) => isCode(made, code)),
  },
  'Stream a list': {
    example: 'list', key: 'backend', says: () => is('Cleo\nBob\nAnn'),
    sh: () => (said) => assert.deepEqual(said.split('\n').map((line) => JSON.parse(line).data.name), ['Cleo', 'Bob', 'Ann']),
  },
  'When a person has to connect first': { example: 'ask', contact: 'bob', says: () => linkAfter('Please open ') },
};

const executed = promisify(execFile);
async function run(command, args, variables, input) {
  const running = executed(command, args, { cwd: clients, env: { ...process.env, ...variables }, timeout: 30_000 });
  running.child.stdin.end(input);
  const { stdout } = await running;
  return stdout.trimEnd();
}

/** An account with what the page takes for granted. */
async function given(t) {
  const { token: owner } = await child();
  const keyfob = new ChatBotKit({ baseUrl: url, secret: owner });
  const api = await upstream(t, ({ path, headers }, response) => {
    assert.match(headers.authorization, /^Bearer CANARY/);
    json(response, { forecast: `rain in ${new URL(path, 'http://x').searchParams.get('city')}` });
  });
  const { id: weather } = await keyfob.secret.create({
    kind: 'personal', type: 'bearer', name: 'Weather API', alias: 'weather', config: { hosts: [api.host] },
  });
  const person = (name) => keyfob.contact.create({ name, verifiedAt: Date.now(), meta: { team: 'sales' } });
  const [ann, bob] = [await person('Ann'), await person('Bob'), await person('Cleo')];
  assert.equal((await connect(ann.id, weather, { value: value() }, owner)).status, 200);
  const { totp_secret: entry } = await keyfob.clientFetch('/api/v2/totp/secrets', {
    record: { label: 'GitHub - agent@example.com', secret: 'CANARY234567CANARY234567CANARY23', period: 3600 },
  });
  const keys = {};
  for (const role of ['backend', 'agent']) {
    keys[role] = await keyfob.clientFetch('/api/v1/key/create', { record: { role, name: role } });
    appendFileSync(env('KEYFOB_TOKENS_SEEN'), `${keys[role].token}\n${keys[role].secret}\n`);
  }
  const code = async () => (await keyfob.clientFetch(`/api/v2/totp/code/${entry.id}?min_validity=10`)).code;
  return { weather, ann: ann.id, bob: bob.id, entry: entry.id, firstCode: await code(), code, keys, api: api.url };
}

/** The TypeScript of the page, checked by its compiler; the path of each program that came of it. */
function compiled(t) {
  // Beside the packages, so that they are found.
  const directory = mkdtempSync(join(clients, '.sdk-docs-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const files = Object.keys(TASKS).map((title) => {
    const file = join(directory, `${TASKS[title].example}.ts`);
    writeFileSync(file, whole(title, 'ts'));
    return file;
  });
  const options = {
    strict: true, skipLibCheck: true, noEmitOnError: true, target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, types: ['node'], typeRoots: [join(clients, 'node_modules/@types')],
  };
  const program = ts.createProgram(files, options);
  const found = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics];
  const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => directory, getNewLine: () => '\n' };
  assert.equal(found.length, 0, ts.formatDiagnostics(found, host));
  return (example) => join(directory, `${example}.js`);
}

test('the Rust of the page is the text of the example, and so is its set-up', () => {
  const program = read('crates/client/examples/sdk_page.rs');
  const bodies = Object.fromEntries([...program.matchAll(/^async fn (\w+)\(keyfob: &Client\) -> Done \{\n(.*?)^ {4}Ok\(\(\)\)\n\}/gms)]
    .map(([, name, body]) => [name, body.replaceAll(/^ {4}/gm, '')]));
  for (const [title, { example }] of Object.entries(TASKS)) assert.equal(sections.get(title).rust, bodies[example], title);
  const [begin, end] = sections.get(SET_UP).rust.split('    // … what follows …\n');
  const [uses, main] = begin.split('\n#[tokio::main]');
  assert.ok(program.includes(uses) && program.includes(`#[tokio::main]${main}`) && end === '    Ok(())\n}\n', 'the set-up');
});

test('the Rust of the README is of the same example', () => {
  const [, code] = read('README.md').match(/^```rust\n(.*?)^```/ms);
  const program = read('crates/client/examples/sdk_page.rs').split('\n').map((line) => line.trim());
  for (const line of code.trim().split('\n')) assert.ok(program.includes(line.trim()), line);
});

test('the page has the tasks that are tested here', () => {
  assert.deepEqual([...sections.keys()], [SET_UP, ...Object.keys(TASKS)]);
});

describe('the snippets of the page', () => {
  const cleanups = [];
  let made;
  let program;
  before(async () => {
    const t = { after: (cleanup) => cleanups.push(cleanup) };
    made = await given(t);
    program = compiled(t);
  });
  after(() => cleanups.forEach((cleanup) => cleanup()));

  const ways = {
    rust: async ({ example }, variables) => {
      const { status, stdout, stderr } = await runExample('sdk_page', variables, [example]);
      assert.equal(status, 0, stderr);
      return stdout.trimEnd();
    },
    ts: ({ example }, variables) => run(process.execPath, [program(example)], variables),
    python: (_, variables, title) => run('.venv/bin/python', ['-'], variables, whole(title, 'python')),
    sh: (_, variables, title) => run('bash', ['-eu'], variables, whole(title, 'sh')),
  };
  for (const [title, task] of Object.entries(TASKS)) {
    for (const language of LANGUAGES) {
      test(`${title}, in ${language}`, async () => {
        const key = made.keys[task.key ?? 'agent'];
        const said = await ways[language](task, {
          KEYFOB_TOKEN: key.token, KEYFOB_KEY_ID: key.id, KEYFOB_KEY_SECRET: key.secret,
          CONTACT: made[task.contact ?? 'ann'], TOTP: made.entry, WEATHER_API: made.api,
        }, title);
        assert.ok(!said.includes('CANARY'), 'a credential was shown');
        await (task[language] ?? task.says)(made)(said);
      });
    }
  }
});
