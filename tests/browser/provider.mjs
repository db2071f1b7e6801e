// A certified OpenID provider (npm oidc-provider) on a loopback port, as strict as it can be: PKCE for everybody, refresh tokens that work once and end the
// whole grant when they are used again, access tokens that live for three seconds. It keeps a record of what it was asked, and of every token.

import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';
import { noted, url } from './support.mjs';

/** How long access tokens live at least, and are said to live, in milliseconds. */
export const LIFE = 3000;
/** Where the provider's pages fetch a font from; `fontless` keeps them from doing so. */
export const FONTS = 'https://fonts.googleapis.com';

const SCOPE = 'openid offline_access';
/** The grant of devices (RFC 8628, section 3.4). */
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
/** The client with two secrets, of which the first is one that it has no more. */
export const TWO_SECRETS = 'one of two secrets';
const REDIRECT_URI = `${url}/secrets/oauth/callback`;

const pem = ({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' });
const jwk = ({ publicKey }, kid, alg) => ({ ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });

/** The clients, by how they prove who they are: what the provider knows of each, and what a secret's config says. */
function clients() {
  const [es256, rs256] = [generateKeyPairSync('ec', { namedCurve: 'P-256' }), generateKeyPairSync('rsa', { modulusLength: 2048 })];
  // A secret with characters that have to be escaped where it is sent, and in two ways where it is sent by HTTP Basic.
  const secret = (name) => noted(`canary-${name}-${crypto.randomUUID()}+%/:&=?`);
  const [basic, post] = [secret('basic'), secret('post')];
  const byKey = (alg, pair) => [
    { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: alg, jwks: { keys: [jwk(pair, `key-${alg}`, alg)] } },
    { tokenEndpointAuthMethod: 'private_key_jwt', clientKey: pem(pair), clientKeyId: `key-${alg}`, clientKeyAlgorithm: alg },
  ];
  return {
    basic: [{ token_endpoint_auth_method: 'client_secret_basic', client_secret: basic }, { tokenEndpointAuthMethod: 'client_secret_basic', clientSecret: basic }],
    post: [{ token_endpoint_auth_method: 'client_secret_post', client_secret: post }, { clientSecret: post }],
    [TWO_SECRETS]: [{ token_endpoint_auth_method: 'client_secret_post', client_secret: post }, { clientSecret: secret('old'), clientSecrets: [post] }],
    none: [{ token_endpoint_auth_method: 'none', application_type: 'native' }, { tokenEndpointAuthMethod: 'none' }],
    'a key (ES256)': byKey('ES256', es256),
    'a key (RS256)': byKey('RS256', rs256),
  };
}

/** Its clock knows whole seconds only, so a token may end up to a second early: it says a second less than it gives. */
async function sayLess(context, next) {
  await next();
  if (context.path === '/token' && context.body?.expires_in) context.body.expires_in -= 1;
}

/** What it saw: each answer of the token endpoint that had tokens, by grant, and with its time; what was refused; and the clients that were registered. */
function watch(provider) {
  const seen = { answers: [], refused: [], registered: [] };
  provider.on('grant.success', ({ oidc, body }) => {
    for (const token of [body.access_token, body.refresh_token, body.id_token]) if (token) noted(token);
    const { access_token: access, refresh_token: refresh } = body;
    const { accountId: person, clientId: client, grantId: grant } = oidc.entities.AccessToken;
    seen.answers.push({ at: performance.now(), type: oidc.params.grant_type, person, client, grant, access, refresh });
  });
  provider.on('grant.error', ({ oidc }, error) => {
    if (error.error === 'authorization_pending') return;
    seen.refused.push({ client: oidc.client?.clientId, what: `${error.error}: ${error.error_detail ?? error.error_description}` });
  });
  provider.on('server_error', (_, error) => seen.refused.push({ what: `server error: ${error.stack}` }));
  provider.on('authorization_code.saved', (code) => noted(code.jti));
  provider.on('device_authorization.success', (_, body) => {
    for (const code of [body.device_code, body.user_code]) noted(code);
  });
  provider.on('registration_create.success', ({ body }, { clientId }) => {
    seen.registered.push(clientId);
    for (const secret of [body.client_secret, body.registration_access_token]) if (secret) noted(secret);
  });
  return seen;
}

function configuration(known, codeLives) {
  return {
    clients: Object.entries(known).map(([client_id, [client]]) => ({
      client_id, redirect_uris: [REDIRECT_URI], grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT], ...client,
    })),
    pkce: { required: () => true },
    rotateRefreshToken: true,
    // Also to those who have not asked for `offline_access`: it counts only where a request demands the consent page.
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    scopes: ['openid', 'offline_access', 'email'],
    claims: { openid: ['sub'], email: ['email'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ttl: {
      AccessToken: LIFE / 1000 + 1, AuthorizationCode: 60, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 3600, IdToken: 60,
      DeviceCode: (_, __, { clientId }) => codeLives[clientId] ?? 600,
    },
    features: {
      devInteractions: { enabled: true }, deviceFlow: { enabled: true }, registration: { enabled: true },
      revocation: { enabled: true }, introspection: { enabled: true }, userinfo: { enabled: true },
    },
    cookies: { keys: [noted(crypto.randomUUID())] },
  };
}

/**
 * Starts a provider. `config(client)` is what a secret says of it and of one of its clients, `deviceConfig(client)` the same where people enter a code; `answers.token` and `answers.revocation`, when they are set, are
 * statuses with which those endpoints fail; `codeLives` says of clients for how many seconds their codes for devices work.
 */
export async function provider() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${server.address().port}`;
  const known = clients();
  const codeLives = {};
  const running = new Provider(origin, configuration(known, codeLives));
  running.use(sayLess);
  const seen = watch(running);
  const answers = {};
  const handle = running.callback();
  server.on('request', (request, response) => {
    const path = new URL(request.url, origin).pathname;
    const status = { '/token': answers.token, '/token/revocation': answers.revocation }[path];
    if (status) response.writeHead(status).end();
    else handle(request, response);
  });
  /** Ends it, and whoever keeps a connection to it: Keyfob keeps grants alive that tests have left behind. */
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  /** The answers with tokens of this person, the first one first. */
  const answersTo = (person) => seen.answers.filter((answer) => answer.person === person);
  return { origin, seen, answersTo, answers, codeLives, stop, ...calls(origin, running, known) };
}

/** What is asked of a provider in the tests. */
function calls(origin, running, known) {
  const config = (client, more = {}) => ({
    clientId: client, ...known[client][1],
    authorizationUrl: `${origin}/auth?prompt=consent`, tokenUrl: `${origin}/token`, revokeUrl: `${origin}/token/revocation`,
    scope: SCOPE, hosts: ['127.0.0.1'], ...more,
  });
  const deviceConfig = (client) => {
    const { authorizationUrl, ...rest } = config(client);
    return { ...rest, deviceAuthorizationUrl: `${origin}/device/auth` };
  };
  /** Whether an access token works: it is shown to the provider, as the API behind it would. */
  const accepts = async (token) => (await fetch(`${origin}/me`, { headers: { authorization: `Bearer ${token}` } })).status === 200;
  /** Whether a token is active (RFC 7662). */
  const isActive = async (token) => {
    const { client_secret: secret } = known.post[0];
    const body = new URLSearchParams({ token, client_id: 'post', client_secret: secret });
    return (await (await fetch(`${origin}/token/introspection`, { method: 'POST', body })).json()).active;
  };
  /** Ends a grant, as a person does at the provider. */
  const withdraw = async (grant) => (await running.Grant.find(grant)).destroy();
  /** Forgets a client that was registered. */
  const forget = async (client) => running.Client.adapter.destroy(client);
  return { config, deviceConfig, accepts, isActive, withdraw, forget };
}

/** Keeps the provider's pages from fetching a font elsewhere. */
export const fontless = (context) => context.route(`${FONTS}/**`, (route) => route.fulfill({ contentType: 'text/css', body: '' }));

/** What a person does at the provider's login page. */
export async function login(page, name = 'ann') {
  await page.getByPlaceholder('Enter any login').fill(name);
  await page.getByPlaceholder('and password').fill('anything');
  await page.getByRole('button', { name: 'Sign-in' }).click();
}

/** What a person does at the provider's consent page. */
export const consent = (page) => page.getByRole('button', { name: 'Continue', exact: true }).click();

/** Goes on from the page that shows the code. */
export const confirmCode = (page) => page.getByRole('button', { name: 'Continue', exact: true }).click();

/** Says no at the page that shows the code. */
export const abort = (page) => page.getByRole('button', { name: '[ Abort ]' }).click();

/** Says no at either page. */
export const cancel = (page) => page.getByRole('link', { name: '[ Cancel ]' }).click();
