// The npm SDK's client, over HTTP and over `keyfob mcp`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js';
import { REDACTED, TOOLS, command, connect, credential, env, token, unconnected, url } from './support.mjs';

const over = {
  HTTP: (key) => new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { authorization: `Bearer ${key}` } } }),
  stdio: (key) => new StdioClientTransport({ ...command, env: { ...command.env, KEYFOB_TOKEN: key }, stderr: 'pipe' }),
};

async function client(t, transport, capabilities = {}, key = token) {
  const client = new Client({ name: 'test', version: '1' }, { capabilities });
  await client.connect(over[transport](key));
  t.after(() => client.close());
  return client;
}

for (const transport of Object.keys(over)) {
  test(`each tool does over ${transport} what it says`, async (t) => {
    const mcp = await client(t, transport);
    assert.equal(mcp.getServerVersion().name, 'keyfob');
    assert.match(mcp.getInstructions(), /verify_secret/);
    const { tools } = await mcp.listTools();
    assert.deepEqual(tools.map(({ name }) => name).sort(), TOOLS);
    // From here on the client holds each answer against the schema of its tool.
    const done = async (name, args = {}) => {
      const result = await mcp.callTool({ name, arguments: args });
      assert.ok(!result.isError, JSON.stringify(result));
      return result.structuredContent;
    };
    const which = { contact: env('KEYFOB_CONTACT'), secret: env('KEYFOB_SECRET') };
    assert.ok((await done('list_secrets')).secrets.some(({ id }) => id === which.secret));
    const theirs = (await done('list_secrets', { contact: which.contact })).secrets;
    assert.equal(theirs.find(({ id }) => id === which.secret).status, 'authenticated');
    assert.deepEqual((await done('list_totp')).entries.map(({ id }) => id), [env('KEYFOB_ENTRY')]);
    assert.equal((await done('verify_secret', which)).status, 'authenticated');
    assert.equal((await done('authenticate_secret', which)).status, 'authenticated');
    assert.match((await done('get_totp_code', { id: env('KEYFOB_ENTRY') })).code, /^\d{6}$/);
    const address = `http://${env('KEYFOB_UPSTREAM')}/v1/x?y=1`;
    const sent = await done('send_request', { ...which, url: address, method: 'POST', body: 'hello' });
    assert.equal(sent.status, 200);
    const got = JSON.parse(sent.body);
    assert.deepEqual([got.method, got.path, got.body], ['POST', '/v1/x?y=1', 'hello']);
    assert.equal(got.authorization, `Bearer ${REDACTED}`);
    assert.ok(!JSON.stringify(sent).includes(credential));
    const contacts = await mcp.callTool({ name: 'list_contacts', arguments: {} });
    assert.equal(contacts.isError, true);
    assert.equal(JSON.parse(contacts.content[0].text).code, 'NOT_AUTHORIZED');
  });

  test(`the person is asked by the client over ${transport}`, async (t) => {
    const mcp = await client(t, transport, { elicitation: { url: {} } });
    const which = await unconnected();
    const call = { name: 'send_request', arguments: { ...which, url: `http://${env('KEYFOB_UPSTREAM')}/` } };
    const error = await mcp.callTool(call).then(() => assert.fail('it was sent'), (error) => error);
    assert.ok(error instanceof UrlElicitationRequiredError, String(error));
    const [asked] = error.elicitations;
    assert.equal(asked.mode, 'url');
    await connect(asked.url);
    assert.equal((await mcp.callTool(call)).structuredContent.status, 200);
  });

  test(`who cannot ask is given the link over ${transport}`, async (t) => {
    const mcp = await client(t, transport);
    const which = await unconnected();
    const { structuredContent } = await mcp.callTool({ name: 'authenticate_secret', arguments: which });
    assert.equal(structuredContent.status, 'waiting');
    await connect(structuredContent.url);
    const verified = await mcp.callTool({ name: 'verify_secret', arguments: which });
    assert.equal(verified.structuredContent.status, 'authenticated');
  });

  test(`what is not there, and who is not known, is refused over ${transport}`, async (t) => {
    const mcp = await client(t, transport);
    const missing = await mcp.callTool({ name: 'get_totp_code', arguments: { id: 'nonsense' } });
    assert.equal(missing.isError, true);
    assert.match(JSON.parse(missing.content[0].text).next, /Do not try again/);
    await assert.rejects(mcp.callTool({ name: 'mint', arguments: {} }), { code: -32602 });
    await assert.rejects(client(t, transport, {}, 'kft_nonsense'), /Not authenticated/);
  });
}
