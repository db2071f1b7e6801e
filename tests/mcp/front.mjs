// What is around Keyfob in these tests: the public address at which it is reached, as behind a proxy, and somebody
// else's server. Requests to /mcp that show no key get the agent's: the conformance suite has no way to show one.
//
//   node front.mjs TARGET_FILE    prints the two addresses; TARGET_FILE will hold Keyfob's own address and the key

import { readFileSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';

const [file] = process.argv.slice(2);

const front = createServer((request, response) => {
  const [address, token] = readFileSync(file, 'utf8').split('\n');
  const { hostname, port } = new URL(address);
  const headers = { ...request.headers };
  if (request.url === '/mcp') headers.authorization ??= `Bearer ${token}`;
  const { method, url: path } = request;
  const onward = ask({ hostname, port, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});

/** It says what it got, credential included. */
const upstream = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const { method, url: path, headers } = request;
  const got = { method, path, authorization: headers.authorization, body: Buffer.concat(parts).toString() };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(got));
});

const listen = (server) => new Promise((resolve) => {
  server.listen(0, '127.0.0.1', () => resolve(`127.0.0.1:${server.address().port}`));
});
console.log(`${await listen(front)} ${await listen(upstream)}`);
