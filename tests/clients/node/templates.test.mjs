// The published ChatBotKit package for Node, unmodified, against a running Keyfob: the catalogue of templates, which it calls
// platform secrets. tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { badRequest } from './secret-support.mjs';
import { client, ids, streamed } from './chatbotkit-support.mjs';
import { env } from './support.mjs';

const { platform } = client({ secret: env('KEYFOB_AGENT_TOKEN') });
const { secret } = client();

test('the templates are listed page by page, and streamed whole', async () => {
  const listed = [];
  for (let cursor; ; ) {
    const page = await platform.secret.list({ take: 40, order: 'asc', cursor });
    if (page.items.length === 0) break;
    listed.push(...page.items);
    ({ cursor } = page);
  }
  assert.ok(listed.length >= 45, `${listed.length} templates`);
  for (const { id, template, name, description, type, kind, config, createdAt, updatedAt } of listed) {
    assert.equal(template, id);
    for (const text of [name, description, type, kind]) assert.equal(typeof text, 'string');
    assert.ok(Array.isArray(config.hosts), id);
    assert.deepEqual([createdAt, updatedAt], [0, 0]);
  }
  assert.deepEqual(await streamed(platform.secret.list({ order: 'asc' })), listed);
});

test('a template is searched for, and a secret made of it', async () => {
  const { items } = await platform.secret.search({ search: 'zendesk', take: 3 });
  const [{ id, kind, score, excerpt, link }] = items;
  assert.deepEqual([id, score, typeof excerpt], ['zendesk', 1, 'string']);
  assert.ok(link.startsWith('https://'));
  const config = { template: id, parameters: { subdomain: 'acme' } };
  const made = await secret.create({ kind, type: 'template', config });
  assert.deepEqual((await secret.fetch(made.id)).config, config);
  await badRequest(
    secret.create({ type: 'template', config: { template: 'zendesc' } }),
    '"config.template" is no template of the catalogue; like it are zendesk',
  );
});

test('what is not found is an empty list', async () => {
  assert.deepEqual(ids((await platform.secret.search({ search: 'nothing of the kind' })).items), []);
});
