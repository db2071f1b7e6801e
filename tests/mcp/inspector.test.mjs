// The command line of the MCP inspector, over HTTP and over `keyfob mcp`.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { TOOLS, command, env, token, url } from './support.mjs';

const run = promisify(execFile);
const at = {
  HTTP: [url, '--transport', 'http', '--header', `Authorization: Bearer ${token}`],
  stdio: [command.command, ...command.args],
};

async function inspect(transport, ...args) {
  const settings = transport === 'stdio' ? Object.entries(command.env).flatMap(([name, value]) => ['-e', `${name}=${value}`]) : [];
  const { stdout, stderr } = await run(process.execPath, ['node_modules/.bin/mcp-inspector', '--cli', ...settings, ...at[transport], ...args]);
  return { answer: JSON.parse(stdout), stderr };
}

for (const transport of Object.keys(at)) {
  test(`tools are listed and called over ${transport}`, async () => {
    const { answer: { tools }, stderr } = await inspect(transport, '--method', 'tools/list');
    assert.deepEqual(tools.map(({ name }) => name).sort(), TOOLS);
    assert.doesNotMatch(stderr, /[1-9]\d* (errors|warnings)/, 'every model takes the schemas');
    const { answer } = await inspect(transport, '--method', 'tools/call', '--tool-name', 'get_totp_code', '--tool-arg', `id=${env('KEYFOB_ENTRY')}`);
    assert.match(answer.structuredContent.code, /^\d{6}$/);
  });
}
